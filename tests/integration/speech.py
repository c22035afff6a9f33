"""Speech for tests: a program that speaks, and the form in which sound is sent."""

import shutil
import unittest

BOUNDARY = "a-boundary"
FORM = f"multipart/form-data; boundary={BOUNDARY}"


def form(sound, **fields):
    parts = [f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
             for name, value in {"model": "whisper", **fields}.items()]
    head = "".join(parts).encode()
    if sound is not None:
        head += (f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; '
                 'filename="a.wav"\r\nContent-Type: audio/wav\r\n\r\n').encode() + sound + b"\r\n"
    return head + f"--{BOUNDARY}--\r\n".encode()


def espeak_or_skip():
    if shutil.which("espeak-ng") is None:
        raise unittest.SkipTest("espeak-ng is not there; tools/setup installs it")
