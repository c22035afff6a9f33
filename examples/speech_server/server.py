#!/usr/bin/env python3
"""Text to speech behind Tonnage: OpenAI's /v1/audio/speech over espeak-ng."""

import io
import json
import shutil
import subprocess
import sys
import wave
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from model_http import Answer, RequestError, argument_parser, serve  # noqa: E402

INPUT_CHARACTERS_MAX = 4096  # OpenAI's own limit
SPEAK_SECONDS_MAX = 60
WORDS_PER_MINUTE = 175  # espeak-ng's own pace
SLOWEST, FASTEST = 80, 450  # what espeak-ng can do
HEADER_BYTES = 44  # of the RIFF file that espeak-ng writes
FIELDS = {"model", "input", "voice", "response_format", "speed", "instructions", "stream_format"}
# OpenAI's names, for clients that know no others.
NAMED_VOICES = {"alloy": "en-us", "ash": "en-us+m2", "ballad": "en-gb+m3", "coral": "en-us+f2",
                "echo": "en-us+m1", "fable": "en-gb+f1", "nova": "en-us+f3", "onyx": "en-us+m7",
                "sage": "en-gb+f2", "shimmer": "en-us+f4", "verse": "en-gb+m1"}


@dataclass(frozen=True)
class Wish:
    """What a request asks for."""
    text: str
    voice: str  # espeak-ng's
    words_per_minute: int


def bad(message, param=None):
    return RequestError(400, message, param=param)


def json_object(request):
    if request.content_type.partition(";")[0].strip().lower() != "application/json":
        raise RequestError(415, "the body is not application/json")
    try:
        body = json.loads(request.body)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise bad("the body is not a JSON object")
    return body


def wish_of(request, voices):
    body = json_object(request)
    for name in body:
        if name not in FIELDS:
            raise bad(f"there is no field `{name}` here", name)
    text = body.get("input")
    if not isinstance(text, str) or not text.strip():
        raise bad("`input` is the text to speak", "input")
    if len(text) > INPUT_CHARACTERS_MAX:
        raise bad(f"`input` is longer than {INPUT_CHARACTERS_MAX} characters", "input")
    voice = body.get("voice", "alloy")
    if not isinstance(voice, str) or voice not in voices:
        raise bad("`voice` is a language of espeak-ng, such as en-gb, or one of "
                  f"{', '.join(NAMED_VOICES)}", "voice")
    if body.get("response_format", "wav") != "wav":
        raise bad("this server writes wav only", "response_format")
    if body.get("stream_format", "audio") != "audio":
        raise bad("this server does not stream", "stream_format")
    speed = body.get("speed", 1)
    if isinstance(speed, bool) or not isinstance(speed, (int, float)) or not 0.25 <= speed <= 4:
        raise bad("`speed` is a number from 0.25 to 4", "speed")
    pace = round(WORDS_PER_MINUTE * speed)
    return Wish(text, voices[voice], min(max(pace, SLOWEST), FASTEST))


def voices_of(program):
    """{name: espeak-ng's voice}: what may be asked for."""
    listed = subprocess.run([program, "--voices"], stdin=subprocess.DEVNULL, capture_output=True,
                            text=True, timeout=SPEAK_SECONDS_MAX, check=True)
    # A line is: priority, language, age and gender, name, file.
    rows = [line.split() for line in listed.stdout.splitlines()[1:]]
    languages = {row[1]: row[1] for row in rows if len(row) >= 5}
    if not languages:
        raise RuntimeError("espeak-ng lists no voices")
    return {**languages, **NAMED_VOICES}


def with_true_sizes(written):
    """espeak-ng does not know the length when it begins to write, so it says too large a one."""
    if written[:4] != b"RIFF" or len(written) <= HEADER_BYTES:
        raise RuntimeError("espeak-ng wrote no sound")
    rate = int.from_bytes(written[24:28], "little")
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes(written[HEADER_BYTES:])
    return file.getvalue()


def speak(program, wish):
    # The text comes by standard input: nothing of it is read as an option.
    command = [program, "--stdin", "--stdout", "-b", "1", "-v", wish.voice,
               "-s", str(wish.words_per_minute)]
    try:
        spoken = subprocess.run(command, input=wish.text.encode("utf-8", "replace"),
                                capture_output=True, timeout=SPEAK_SECONDS_MAX, check=True)
    except subprocess.TimeoutExpired:
        raise RequestError(500, f"espeak-ng was not done after {SPEAK_SECONDS_MAX} s") from None
    return Answer(with_true_sizes(spoken.stdout), "audio/wav")


def load(program):
    voices = voices_of(program)
    return {"/v1/audio/speech": lambda request: speak(program, wish_of(request, voices))}


def main():
    options = argument_parser(__doc__).parse_args()
    program = shutil.which("espeak-ng")
    if program is None:
        sys.exit("espeak-ng is not there: install the package espeak-ng")
    serve(options, lambda: load(program))


if __name__ == "__main__":
    main()
