#!/usr/bin/env python3
"""Speech to text behind Tonnage: OpenAI's transcriptions and translations over faster-whisper."""

import importlib.util
import json
import os
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]
sys.path.insert(0, str(FOLDER.parent))
from model_http import Answer, RequestError, argument_parser, serve  # noqa: E402
from form_data import parse_form  # noqa: E402

PROMPT_CHARACTERS_MAX = 2000
FORMATS = ("json", "text", "verbose_json", "srt", "vtt")
FIELDS = {"model", "language", "prompt", "response_format", "temperature",
          "timestamp_granularities[]", "stream"}
# What is tried, one after another, while a text does not read like one.
TEMPERATURES = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]


@dataclass(frozen=True)
class Wish:
    """What a request asks for."""
    file: bytes = field(repr=False)
    language: str | None
    prompt: str | None
    response_format: str
    temperatures: list


def bad(message, param):
    return RequestError(400, message, param=param)


def temperatures_of(text):
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise bad("temperature is a number from 0 to 1", "temperature")
    return [value] if value > 0 else TEMPERATURES


def wish_of(request, languages):
    """Every field is checked, so that none is ignored in silence."""
    try:
        parts = parse_form(request.content_type, request.body)
        files = [part.data for part in parts if part.name == "file"]
        fields = {part.name: part.text().strip() for part in parts if part.name != "file"}
    except ValueError as error:
        raise RequestError(400, str(error)) from None
    if len(files) != 1 or not files[0]:
        raise bad("the form needs one field `file` with a sound file in it", "file")
    for name in fields:
        if name not in FIELDS:
            raise bad(f"there is no field `{name}` here", name)
    if fields.get("stream", "false").lower() != "false":
        raise bad("this server does not stream", "stream")
    if fields.get("timestamp_granularities[]", "segment") != "segment":
        raise bad("this server times segments only", "timestamp_granularities[]")
    response_format = fields.get("response_format") or "json"
    if response_format not in FORMATS:
        raise bad(f"response_format is one of {', '.join(FORMATS)}", "response_format")
    language = fields.get("language") or None
    if language is not None and language not in languages:
        raise bad("language is a code such as en or de", "language")
    prompt = fields.get("prompt") or None
    if prompt is not None and len(prompt) > PROMPT_CHARACTERS_MAX:
        raise bad(f"prompt is longer than {PROMPT_CHARACTERS_MAX} characters", "prompt")
    return Wish(files[0], language, prompt, response_format,
                temperatures_of(fields.get("temperature") or "0"))


def time_text(seconds, point):
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}{point}{rest % 1000:03}"


def subtitles(segments, point, numbered):
    return "".join((f"{number}\n" if numbered else "")
                   + f"{time_text(segment.start, point)} --> {time_text(segment.end, point)}\n"
                   + segment.text.strip().replace("-->", "->") + "\n\n"
                   for number, segment in enumerate(segments, 1))


def verbose(segments, info, text, task):
    names = ("seek", "start", "end", "text", "tokens", "temperature", "avg_logprob",
             "compression_ratio", "no_speech_prob")
    return {"task": task, "language": info.language, "duration": info.duration, "text": text,
            "segments": [{"id": number, **{name: getattr(segment, name) for name in names}}
                         for number, segment in enumerate(segments)]}


def answer_of(segments, info, response_format, task):
    text = "".join(segment.text for segment in segments).strip()
    if response_format == "text":
        return Answer((text + "\n").encode(), "text/plain; charset=utf-8")
    if response_format == "srt":
        return Answer(subtitles(segments, ",", True).encode(), "text/plain; charset=utf-8")
    if response_format == "vtt":
        return Answer(("WEBVTT\n\n" + subtitles(segments, ".", False)).encode(),
                      "text/vtt; charset=utf-8")
    whole = verbose(segments, info, text, task) if response_format == "verbose_json" \
        else {"text": text}
    return Answer(json.dumps(whole, ensure_ascii=False).encode(), "application/json")


class Whisper:
    """One model; one request at a time, since each already takes all threads."""

    def __init__(self, folder, threads):
        from faster_whisper import WhisperModel  # takes a second, and `--help` can do without
        import sound
        self.sound = sound
        self.model = WhisperModel(str(folder), device="cpu", compute_type="int8",
                                  cpu_threads=threads, local_files_only=True)
        self.turn = threading.Lock()

    def routes(self):
        return {"/v1/audio/transcriptions": lambda request: self.hear(request, "transcribe"),
                "/v1/audio/translations": lambda request: self.hear(request, "translate")}

    def hear(self, request, task):
        wish = wish_of(request, self.model.supported_languages)
        with self.turn:
            if request.is_abandoned():
                raise ConnectionError("the client went while it waited")
            try:
                samples = self.sound.samples_of(wish.file)
            except self.sound.SoundError as error:
                raise bad(str(error), "file") from None
            found, info = self.model.transcribe(
                samples, task=task, language=wish.language, initial_prompt=wish.prompt,
                temperature=wish.temperatures)
            segments = []
            for segment in found:  # each is computed now
                segments.append(segment)
                if request.is_abandoned():
                    raise ConnectionError("the client went in the middle")
        return answer_of(segments, info, wish.response_format, task)


def find_packages():
    """Goes on in the virtual environment that has faster-whisper, where this Python has not."""
    if importlib.util.find_spec("faster_whisper"):
        return
    found = subprocess.run([ROOT / "tools/python_env", "--path", "whisper_server"],
                           stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    folder = found.stdout.strip()
    if found.returncode != 0 or Path(folder) == Path(sys.prefix):
        sys.exit(f"faster-whisper is not there: {found.stderr.strip()}")
    python = f"{folder}/bin/python"
    os.execv(python, [python, *sys.argv])


def model_folder(given):
    """A folder with a model for CTranslate2; by default the one of tools/real_models."""
    if given is not None:
        return given.parent if given.is_file() else given
    found = subprocess.run([ROOT / "tools/real_models", "--path", "whisper"],
                           stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if found.returncode != 0:
        sys.exit(found.stderr.strip())
    return Path(found.stdout.strip()).parent


def main():
    parser = argument_parser(__doc__)
    parser.add_argument("--model", type=Path, metavar="DIR",
                        help="folder of the model (that of tools/real_models)")
    parser.add_argument("--threads", type=int, default=0, metavar="N",
                        help="threads that compute (one per core, four at most)")
    options = parser.parse_args()
    find_packages()
    folder = model_folder(options.model)
    if not (folder / "model.bin").is_file():
        sys.exit(f"there is no model.bin in {folder}")
    serve(options, lambda: Whisper(folder, options.threads).routes())


if __name__ == "__main__":
    main()
