#!/usr/bin/env python3
"""Each rule of tidy.py can fire, and stays quiet on its nearest innocent neighbour."""

import unittest

import tidy

HEADER = "// Words about one thing.\n#pragma once\n"


def findings(files):
    """(path, rule) of every finding in a small tree."""
    return [(finding.path, finding.rule) for finding in tidy.check_tree(files)]


class OneFile(unittest.TestCase):
    def fires(self, rule, path, text):
        self.assertIn((path, rule), findings({path: text}), text)

    def quiet(self, rule, path, text):
        self.assertNotIn((path, rule), findings({path: text}), text)

    def test_core_bans(self):
        for rule, code in [
            ("core-clock", "auto t = std::chrono::steady_clock::now();"),
            ("core-clock", "auto t = std::time(nullptr);"),
            ("core-random", "#include <random>"),
            ("core-random", "int x = rand();"),
            ("core-thread", "#include <mutex>"),
            ("core-thread", "std::atomic<int> x;"),
            ("core-unordered", "std::unordered_map<int, int> m;"),
            ("core-float", "double share = 0;"),
            ("core-io", "#include <iostream>"),
            ("core-io", 'std::printf("x");'),
            ("core-exception", "if (x) throw Broken{};"),
        ]:
            self.fires(rule, "src/core/ledger.cc", code)
            self.quiet(rule, "src/daemon/loop.cc", code)
            self.quiet(rule, "src/core/ledger_test.cc", code)

    def test_bans_do_not_see_comments_and_literals(self):
        for code in ["// a double entry", "/* throw\n float */", 'auto s = "try unordered_map";',
                     'auto s = R"(double)";', "auto retry_at = next_time(now);"]:
            self.assertEqual([f for f in findings({"src/core/ledger.cc": code})
                              if f[1].startswith("core-")], [], code)

    def test_digit_separators_are_no_literals(self):
        self.fires("core-float", "src/core/ledger.cc", "int a = 1'000; double b; int c = 2'000;")

    def test_source_bans(self):
        self.fires("assert", "src/base/tick.cc", "assert(x > 0);")
        self.quiet("assert", "src/base/tick.cc", "static_assert(x > 0);")
        self.fires("shell", "src/process/spawn.cc", 'system("ls");')
        self.quiet("shell", "src/process/spawn.cc", "auto e = ec.system(); error_system(1);")
        self.fires("sleep", "src/net/proxy_test.cc", "std::this_thread::sleep_for(1ms);")
        self.fires("sleep", "tests/integration/fake.cc", "usleep(10);")
        self.quiet("sleep", "src/engine/llama/llama_test.cc", "engine.sleep(now);")
        self.fires("sleep", "tests/integration/jobs.py", "    time" ".sleep(1)")

    def test_text_bans(self):
        self.fires("marker", "docs/HACKING.md", "TO" "DO: write this")
        self.quiet("marker", "tools/x.sh", "mktemp " + "X" * 6)
        self.fires("machine-path", "docs/x.md", "see /ro" "ot/.cache/tonnage")
        self.fires("machine-path", "docs/x.md", "see /ho" "me/anna/models")
        self.quiet("machine-path", "docs/x.md", "see /home/user/models, ${BASE}/wo" "rk/x")
        self.fires("registry-host", "docs/x.md", "from registry.npm" "js.org")

    def test_allow_needs_its_rule_and_a_reason(self):
        bad = "std::this_thread::sleep_for(1ms);  "
        self.quiet("sleep", "src/probe/x_test.cc", bad + "// tidy: allow(sleep) a hanging fake")
        self.fires("sleep", "src/probe/x_test.cc", bad + "// tidy: allow(sleep)")
        self.fires("sleep", "src/probe/x_test.cc", bad + "// tidy: allow(shell) a reason")

    def test_sizes(self):
        long_file = "int x;\n" * 501
        self.fires("size", "src/base/tick.cc", long_file)
        self.quiet("size", "src/base/tick.cc", "// size: one table of the format\n" + long_file)
        self.quiet("size", "src/base/tick.cc", "int x;\n" * 400)
        self.fires("columns", "src/base/tick.cc", "// " + "x" * 98)
        self.quiet("columns", "src/base/tick.cc", "// " + "x" * 97)
        self.fires("function-size", "src/base/tick.cc", "void f() {\n" + "  x();\n" * 90 + "}\n")
        self.quiet("function-size", "src/base/tick.cc", "void f() {\n" + "  x();\n" * 50 + "}\n")
        self.quiet("function-size", "src/base/tick.cc",
                   "namespace tonnage {\n" + "int f();\n" * 90 + "}\n")

    def test_names(self):
        self.fires("name", "src/base/string_utils.h", HEADER)
        self.fires("name", "src/net/manager.cc", "")
        self.quiet("name", "src/net/commonmark.cc", "")
        self.fires("name", "src/core/ledger.h", HEADER + "class ModelManager {};\n")
        self.quiet("name", "src/core/ledger.h", HEADER + "class Ledger {};\n")

    def test_headers(self):
        self.quiet("header-comment", "src/base/a.h", HEADER)
        self.quiet("header-guard", "src/base/a.h", HEADER)
        self.fires("header-comment", "src/base/a.h", "#pragma once\n")
        self.fires("header-comment", "src/base/a.h", "// Words\n#pragma once\n")
        self.fires("header-guard", "src/base/a.h", "// Words about one thing.\n#ifndef A_H\n")

    def test_whitespace(self):
        self.fires("whitespace", "src/base/a.cc", "int x; \n")
        self.fires("whitespace", "src/base/a.cc", "\tint x;\n")
        self.quiet("whitespace", "src/base/a.cc", 'auto s = R"(Vm:\t1)";\n')
        self.quiet("whitespace", "Makefile", "\tcommand\n")
        self.quiet("whitespace", "tests/fixtures/proc/status.txt", "Vm:\t1 \n")


class Tree(unittest.TestCase):
    CORE = {
        "src/base/ids.h": HEADER,
        "src/core/ids.h": HEADER + '#include "base/ids.h"\n',
        "src/core/types.h": HEADER + '#include "core/ids.h"\n',
        "src/core/governor.h": HEADER + '#include "core/types.h"\n',
        "src/core/snapshot.h": HEADER,
    }

    def with_file(self, path, text):
        return [rule for where, rule in findings({**self.CORE, path: text}) if where == path]

    def test_include_law(self):
        for path, include, is_allowed in [
            ("src/core/a_test.cc", '"base/ids.h"', True),
            ("src/base/a_test.cc", '"core/types.h"', False),
            ("src/probe/a_test.cc", '"core/types.h"', True),
            ("src/probe/a_test.cc", '"core/ids.h"', True),
            ("src/probe/a_test.cc", '"core/snapshot.h"', False),
            ("src/api/a_test.cc", '"core/snapshot.h"', True),
            ("src/api/a_test.cc", '"core/governor.h"', False),
            ("src/sim/a_test.cc", '"core/governor.h"', True),
            ("src/sim/a_test.cc", '"daemon/loop.h"', False),
            ("src/daemon/a_test.cc", '"sim/world.h"', False),
            ("apps/tonnage/why_test.cc", '"core/governor.h"', False),
            ("apps/tonnage/plan_command_test.cc", '"core/governor.h"', True),
            ("src/daemon/a_test.cc", '"apps/tonnage/why.h"', False),
            ("src/daemon/a_test.cc", '"tonnage/why.h"', False),
            ("src/net/a_test.cc", '"listener.h"', False),
            ("src/core/a.cc", "<boost/asio.hpp>", False),
            ("src/base/a.cc", "<sys/stat.h>", True),
            ("src/net/a.cc", "<boost/asio.hpp>", True),
        ]:
            rules = self.with_file(path, f"#include {include}\n")
            self.assertEqual("include-law" not in rules, is_allowed, f"{path} {include} {rules}")

    def test_cmake_deps(self):
        path = "src/net/CMakeLists.txt"
        for text, is_allowed in [
            ("tonnage_module(net DEPS base core_types boost LIBS core)", True),
            ("tonnage_module(net DEPS base core)", False),
            ("tonnage_module(gadgets DEPS base)", False),
        ]:
            self.assertEqual("include-law" not in self.with_file(path, text), is_allowed, text)

    def test_dead_files(self):
        own = {"src/base/a.h": HEADER, "src/base/a.cc": '#include "base/a.h"\n'}
        self.assertIn(("src/base/a.h", "dead-file"), findings(own))
        used = {**own, "src/base/b_test.cc": '#include "base/a.h"\n'}
        self.assertNotIn(("src/base/a.h", "dead-file"), findings(used))
        self.assertIn(("src/base/c.cc", "dead-file"), findings({"src/base/c.cc": "int x;\n"}))
        self.assertEqual(findings({"apps/tonnage/main.cc": "int main() {}\n"}), [])

    def test_a_header_that_only_its_test_uses_is_a_warning(self):
        tree = {"src/base/a.h": HEADER, "src/base/a_test.cc": '#include "base/a.h"\n'}
        self.assertEqual([f.is_warning for f in tidy.check_tree(tree)], [True])

    def test_every_rule_says_what_to_do(self):
        for bans in (tidy.CORE_BANS, tidy.SOURCE_BANS, tidy.PYTHON_BANS, tidy.TEXT_BANS):
            for rule, _, instead in bans:
                self.assertGreater(len(instead.split()), 4, rule)


if __name__ == "__main__":
    unittest.main()
