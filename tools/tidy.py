#!/usr/bin/env python3
"""The rules of the house that no compiler checks: include law, pure core, sizes, names, dead files.

  tools/tidy.py          check the tree; each finding says what to do instead; exits 1 if any
  tools/tidy.py --law    print the include law

A line that must break a rule says so and why:  // tidy: allow(rule) reason
"""

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parent.parent

FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 80
COLUMNS_MAX = 100

# --- The include law ----------------------------------------------------------------------------

TYPES = "core/types.h"  # stands for core/types.h and the core headers that it includes itself
LAW = {
    "base": [],
    "core": ["base"],
    "http": ["base"],
    "process": ["base", TYPES],
    "model_file": ["base", TYPES],
    "footprint": ["base", "core", "model_file"],
    "config": ["base", "core"],
    "journal": ["base", "core"],
    "probe": ["base", TYPES],
    "engine": ["base", "http", "process", "model_file", "footprint", "config", TYPES],
    "net": ["base", "http", TYPES],
    "router": ["base", TYPES],
    "metrics": ["base"],
    "api": ["base", "core", "metrics"],
    "sim": ["base", "core", "config", "journal"],
    "embed": ["base", "core", "probe", "footprint"],
    "daemon": ["base", "core", "http", "process", "model_file", "footprint", "config", "journal",
               "probe", "engine", "net", "metrics", "api", "router"],
}
# Targets that are no folders of src: the core's words, third-party bodies, compile definitions.
LINKABLE = {"core_types", "boost", "build_info"}
GOVERNOR = "core/governor.h"
GOVERNOR_USERS = re.compile(
    r"src/(core|daemon|sim|embed)/|apps/tonnage-sim/|apps/tonnage/(plan|replay|simulate)[_.]|"
    r"bench/|tests/")

# --- Bans: (rule, pattern, what to do instead) --------------------------------------------------

CORE_BANS = [
    ("core-clock",
     r"\b(steady_clock|system_clock|high_resolution_clock|clock_gettime|gettimeofday)\b|"
     r"\btime\(",
     "the core reads no clock: take `Tick now` as an argument"),
    ("core-random", r"<random>|\b(mt19937(_64)?|random_device|srand|rand)\b",
     "the core draws no random numbers: decide by an order that ends in an id"),
    ("core-thread",
     r"<(thread|mutex|shared_mutex|atomic|condition_variable|future|semaphore|latch|barrier)>|"
     r"\bstd::(jthread|thread|mutex|atomic|lock_guard|unique_lock|scoped_lock|async)\b|"
     r"\bthread_local\b",
     "the core runs on one thread: return an action and let the daemon do the work"),
    ("core-unordered", r"\bunordered_(multi)?(map|set)\b",
     "iteration order must not depend on hashes: std::map, std::set or a sorted std::vector"),
    ("core-float", r"\b(float|double)\b",
     "ratios are integers in permille, or are compared by cross-multiplication"),
    ("core-io",
     r"<(iostream|fstream|cstdio|stdio\.h|print|filesystem|syncstream)>|"
     r"\b(f|s|sn|vsn)?printf\(|\bstd::(cout|cerr|clog)\b|\b(fopen|getenv)\(",
     "the core does no input or output: put the fact into an event, a Decision or the Snapshot"),
    ("core-exception", r"\b(throw|try|catch)\b",
     "the core does not throw: Result<T> for errors of the world, TONNAGE_CHECK for invariants"),
]
SOURCE_BANS = [
    ("assert", r"(?<!static_)\bassert\(|<cassert>|<assert\.h>",
     "assert() depends on the build type: TONNAGE_CHECK of base/check.h"),
    ("shell", r"(?<![\w.>:])(system|popen)\(|\bstd::system\(",
     "no shell: start a program with an argv through src/engine"),
    ("sleep", r"\bsleep_(for|until)\(|(?<![\w.>:])(u|nano)?sleep\(",
     "do not sleep: wait for the condition itself, or hand the time in"),
]
PYTHON_BANS = [
    ("sleep", r"\btime\.sleep\(",
     "do not sleep: poll the condition through the suite's wait function"),
]
# The marker words are put together here so that this file does not find itself.
MARKERS = "|".join(["TO" "DO", "FIX" "ME", "X" "XX"])
TEXT_BANS = [
    ("marker", rf"\b({MARKERS})\b", "open an issue, or write down what is true now"),
    ("machine-path",
     r"(?<![\w./${}-])/(ro" r"ot|wo" r"rk|home/(?!(user|you|me)\b)\w+|Users/\w+)/",
     "a path of somebody's machine: make it relative, or take it from the environment"),
    ("registry-host", r"\bregistry\.[\w-]+\.(org|com|io|dev)\b|\bdeb\.debian\.org\b|\bpypi\.org\b",
     "packages come from wherever the user's package manager is set to: name the package only"),
]

TYPE_OR_NAMESPACE = re.compile(r"(inline )?(namespace|class|struct|enum|union|extern|template)\b")
BAD_STEM = re.compile(r"(^|[_-])(utils?|helpers?|common|managers?|misc)([_-]|$)")
BAD_TYPE = re.compile(r"\b(?:class|struct)\s+(\w*(?:Manager|Helper|Utils?|Misc))\b")

TEXT_SUFFIXES = {".cc", ".h", ".py", ".sh", ".mjs", ".js", ".ts", ".cmake", ".txt", ".md", ".yaml",
                 ".yml", ".json", ".css", ".html"}
SIZED_SUFFIXES = {".cc", ".h", ".py", ".sh", ".mjs", ".js", ".ts", ".cmake"}  # and scripts without
TAB_SUFFIXES = SIZED_SUFFIXES | {".md", ".yaml", ".yml", ".json"}
# Recorded outside text: kept byte for byte.
FIXTURE = re.compile(r"(^|/)(fixtures|testdata|corpus|node_modules)/|package-lock\.json$")


@dataclass(frozen=True, order=True)
class Finding:
    path: str
    line: int
    rule: str
    message: str
    is_warning: bool = False

    def __str__(self):
        kind = "warning: " if self.is_warning else ""
        return f"{self.path}:{self.line}: {kind}[{self.rule}] {self.message}"


# --- Reading C++ --------------------------------------------------------------------------------

TOKEN = re.compile(
    r'//[^\n]*|/\*.*?\*/|(?:u8|[uUL])?R"(?P<d>[^()\\\s]{0,16})\(.*?\)(?P=d)"|"(?:\\.|[^"\\\n])*"'
    r"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'", re.DOTALL)


def code_only(text):
    """The text with comments and literals blanked out; lines stay where they are, includes too."""
    def blank(match):
        start = text.rfind("\n", 0, match.start()) + 1
        if match[0].startswith('"') and text[start:match.start()].strip().startswith("#include"):
            return match[0]
        return re.sub(r"[^\n]", " ", match[0])
    return TOKEN.sub(blank, text)


def includes(text):
    """(line, name, is_system) of every #include."""
    found = []
    for number, line in enumerate(code_only(text).split("\n"), 1):
        match = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
        if match:
            found.append((number, match[2], match[1] == "<"))
    return found


def is_cpp(path):
    return path.endswith((".cc", ".h"))


def is_test(path):
    return path.endswith("_test.cc") or path.startswith("tests/")


def module_of(path):
    parts = PurePosixPath(path).parts
    return parts[1] if len(parts) > 2 and parts[0] == "src" else None


# --- Checks of one file -------------------------------------------------------------------------

def banned(path, bans, lines):
    for rule, pattern, instead in bans:
        compiled = re.compile(pattern)
        for number, line in enumerate(lines, 1):
            match = compiled.search(line)
            if match:
                yield Finding(path, number, rule, f"`{match[0].strip()}`: {instead}")


def check_names(path, text):
    name = PurePosixPath(path).name
    if BAD_STEM.search(name.split(".")[0]):
        yield Finding(path, 1, "name", f"{name} says nothing: name the file after what it holds")
    if is_cpp(path):
        for number, line in enumerate(code_only(text).split("\n"), 1):
            match = BAD_TYPE.search(line)
            if match:
                yield Finding(path, number, "name",
                              f"{match[1]} says nothing: use a word of docs/GLOSSARY.md")


def check_sizes(path, text):
    suffix = PurePosixPath(path).suffix
    if suffix not in SIZED_SUFFIXES and not (suffix == "" and text.startswith("#!")):
        return
    lines = text.split("\n")
    has_reason = any(re.search(r"(//|#) size: \S+", line) for line in lines[:10])
    if len(lines) > FILE_LINES_MAX and not has_reason:
        yield Finding(path, 1, "size", f"{len(lines)} lines, {FILE_LINES_MAX} at most: split it, "
                      "or say why not in its first lines: `// size: reason`")
    for number, line in enumerate(lines, 1):
        if len(line) > COLUMNS_MAX and not re.search(r"https?://|#include", line):
            yield Finding(path, number, "columns",
                          f"{len(line)} columns, {COLUMNS_MAX} at most: break the line")


def check_function_sizes(path, text):
    """clang-format puts the closing brace of a function outside of a class in column 0."""
    start = None
    for number, line in enumerate(code_only(text).split("\n"), 1):
        if start is None and line.endswith("{") and not line.startswith((" ", "}", "#")):
            if not TYPE_OR_NAMESPACE.match(line):
                start = number
        elif start is not None and line.startswith("}"):
            if number - start > FUNCTION_LINES_MAX and not is_test(path):
                yield Finding(path, start, "function-size", f"{number - start} lines, "
                              f"{FUNCTION_LINES_MAX} at most: give a part of it a name", True)
            start = None


def check_whitespace(path, text):
    if PurePosixPath(path).suffix not in TAB_SUFFIXES:
        return
    tabless = code_only(text) if is_cpp(path) else text
    for number, line in enumerate(text.split("\n"), 1):
        if line != line.rstrip():
            yield Finding(path, number, "whitespace", "white space at the end: remove it")
    for number, line in enumerate(tabless.split("\n"), 1):
        if "\t" in line:
            yield Finding(path, number, "whitespace", "a tab: use spaces")


def check_header(path, text):
    lines = text.split("\n")
    comment = []
    for line in lines:
        if not line.startswith("//"):
            break
        comment.append(line.lstrip("/ "))
    first = " ".join(comment)
    if len(first.split()) < 3 or "." not in first:
        yield Finding(path, 1, "header-comment",
                      "begin with one sentence that says what the header is for")
    rest = [line for line in lines[len(comment):] if line.strip()]
    if not rest or rest[0] != "#pragma once":
        yield Finding(path, len(comment) + 1, "header-guard",
                      "`#pragma once` comes right after the opening comment; no include guards")


def check_includes(path, text, types_closure):
    module = module_of(path)
    for number, name, is_system in includes(text):
        if name.startswith("apps/") or (module and name.startswith("tonnage")):
            yield Finding(path, number, "include-law", f"{name}: nothing includes an app; move "
                          "what is shared into a module of src/")
        if name == GOVERNOR and not GOVERNOR_USERS.match(path):
            yield Finding(path, number, "include-law", f"{name}: only daemon, sim, embed, plan and "
                          "replay know the Governor; take a Snapshot or send an event")
        if module not in LAW:
            continue
        if is_system:
            foreign = "/" in name and not name.startswith(("sys/", "linux/"))
            if module in ("base", "core") and not is_test(path) and foreign:
                yield Finding(path, number, "include-law",
                              f"<{name}>: {module} uses the standard library only")
            continue
        target = name.split("/")[0]
        if target == module or target in LAW[module]:
            continue
        if TYPES in LAW[module] and name in types_closure:
            continue
        if target in LAW:
            allowed = ", ".join(LAW[module]) or "the standard library"
            yield Finding(path, number, "include-law",
                          f"{name}: {module} may include {allowed}; hand the value in instead")
        elif "/" not in name:
            yield Finding(path, number, "include-law",
                          f'{name}: write the path from src/, as in "{module}/{name}"')


def check_cmake_deps(path, text):
    """The DEPS of a module's CMakeLists.txt must not allow more than the law."""
    for match in re.finditer(r"tonnage_module\(\s*(\w+)([^)]*)\)", text):
        name, arguments = match[1], match[2].split()
        if name not in LAW:
            yield Finding(path, 1, "include-law", f"module {name} is not in the law: add it to "
                          "tools/tidy.py and to CMakeLists.txt, and say why in docs/decisions/")
            continue
        keyword = None
        allowed = {"core_types" if dep == TYPES else dep for dep in LAW[name]} | LINKABLE
        for word in arguments:
            if word.isupper():
                keyword = word
            elif keyword == "DEPS" and word not in allowed:
                yield Finding(path, 1, "include-law", f"DEPS {word}: {name} must not link it")


def check_file(path, text, types_closure):
    if FIXTURE.search(path):
        return
    suffix = PurePosixPath(path).suffix
    yield from check_names(path, text)
    yield from check_sizes(path, text)
    yield from check_whitespace(path, text)
    yield from banned(path, TEXT_BANS, text.split("\n"))
    if suffix == ".py":
        yield from banned(path, PYTHON_BANS, text.split("\n"))
    if path.endswith("CMakeLists.txt"):
        yield from check_cmake_deps(path, text)
    if is_cpp(path):
        code = code_only(text).split("\n")
        yield from banned(path, SOURCE_BANS, code)
        if module_of(path) == "core" and not is_test(path):
            yield from banned(path, CORE_BANS, code)
        yield from check_includes(path, text, types_closure)
        yield from check_function_sizes(path, text)
        if suffix == ".h":
            yield from check_header(path, text)


# --- Checks of the whole tree -------------------------------------------------------------------

def resolve(path, name, files):
    """The file of this tree that an include in `path` means."""
    folder = PurePosixPath(path).parent
    for candidate in (f"src/{name}", f"apps/{name}", str(folder / name), name):
        if candidate in files:
            return candidate
    return None


def types_closure(files):
    """core/types.h and the core headers that it includes, directly or not."""
    closure, waiting = set(), [TYPES]
    while waiting:
        name = waiting.pop()
        if name not in closure and f"src/{name}" in files:
            closure.add(name)
            waiting += [n for _, n, is_system in includes(files[f"src/{name}"])
                        if not is_system and n.startswith("core/")]
    return closure


def check_dead_files(files):
    users = {}
    for path, text in files.items():
        if is_cpp(path):
            for _, name, _ in includes(text):
                target = resolve(path, name, files)
                if target:
                    users.setdefault(target, set()).add(path)
    for path, text in files.items():
        if not is_cpp(path) or not path.startswith(("src/", "apps/")):
            continue
        stem = path.rsplit(".", 1)[0]
        if path.endswith(".h"):
            others = users.get(path, set()) - {stem + ".cc"}
            if not others:
                yield Finding(path, 1, "dead-file", "nothing includes it: use it or delete it")
            elif path.startswith("src/") and others <= {stem + "_test.cc"}:
                yield Finding(path, 1, "dead-file", "only its own test uses it", True)
        elif not is_test(path) and not path.endswith("/main.cc"):
            folder = str(PurePosixPath(path).parent)
            own = [name for _, name, _ in includes(text)
                   if (resolve(path, name, files) or "").startswith(folder)]
            if not own:
                yield Finding(path, 1, "dead-file", "it includes no header of its folder, so "
                              "nothing can call it: declare what it defines, or delete it")


def allowed_here(finding, files):
    lines = files[finding.path].split("\n")
    line = lines[finding.line - 1] if finding.line <= len(lines) else ""
    return re.search(rf"tidy: allow\({re.escape(finding.rule)}\) \S+", line) is not None


def check_tree(files):
    """All findings of a tree given as {path: text}."""
    closure = types_closure(files)
    findings = [f for path, text in files.items() for f in check_file(path, text, closure)]
    findings += check_dead_files(files)
    return sorted(f for f in set(findings) if not allowed_here(f, files))


def read_tree(root):
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root, capture_output=True, check=False)
    if listed.returncode == 0:
        names = [name for name in listed.stdout.decode().split("\0") if name]
    else:  # an unpacked archive
        names = [str(path.relative_to(root)) for path in root.rglob("*")
                 if path.is_file() and path.relative_to(root).parts[0] not in ("build", ".git")]
    files = {}
    for name in names:
        path = root / name
        known = path.suffix in TEXT_SUFFIXES or (path.suffix == "" and "." not in path.name)
        if known and path.is_file() and not path.is_symlink():
            files[name] = path.read_text(encoding="utf-8", errors="replace")
    return files


def main(arguments):
    if arguments == ["--law"]:
        for module, allowed in LAW.items():
            print(f"{module:10} -> {', '.join(allowed) or 'the standard library'}")
        return 0
    files = read_tree(ROOT)
    findings = check_tree(files)
    for finding in findings:
        print(finding)
    errors = sum(not f.is_warning for f in findings)
    print(f"tidy: {len(files)} files, {errors} findings, {len(findings) - errors} warnings")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
