"""The example servers for speech, by themselves: what one speaks the other understands.

Skipped where espeak-ng, faster-whisper's packages or the model are not to be had.
"""

import contextlib
import difflib
import http.client
import io
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import unittest
import wave
from pathlib import Path

from daemon import wait_until
from real_models import real_model
from speech import BOUNDARY, FORM, espeak_or_skip, form

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
sys.path.insert(0, str(EXAMPLES / "whisper_server"))
from form_data import parse_form  # noqa: E402

LOAD_S_MAX = 120
SENTENCE = "The capital of France is Paris, and the capital of Italy is Rome."


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=LOAD_S_MAX)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(LOAD_S_MAX)
        self.sock.connect(self.path)


class Server:
    """A running example server; gone at the end of the `with` block."""

    def __init__(self, command, unix_socket=None):
        self.unix_socket = unix_socket
        place = ["--socket", unix_socket] if unix_socket else ["--port", "0"]
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen([sys.executable, *map(str, command), *place],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.errors, text=True)
        line = self.process.stdout.readline()
        if not line.startswith("listening on "):
            self.stop(signal.SIGKILL)
            raise AssertionError(f"the server did not listen: {line}{self.log()}")
        self.port = None if unix_socket else int(line.rsplit(":", 1)[1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop(signal.SIGKILL)
        self.errors.close()

    def log(self):
        self.errors.seek(0)
        return self.errors.read()[-6000:]

    def stop(self, number):
        """The exit status."""
        self.process.send_signal(number)
        status = self.process.wait(10)
        self.process.stdin.close()
        self.process.stdout.close()
        return status

    def loaded(self):
        def is_healthy():
            if self.process.poll() is not None:
                raise AssertionError(f"the server ended:\n{self.log()}")
            return self.ask("GET", "/health")[0] == 200
        wait_until(is_healthy, LOAD_S_MAX, "the model is loaded")
        return self

    def connection(self):
        if self.unix_socket:
            return UnixConnection(self.unix_socket)
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=LOAD_S_MAX)

    def ask(self, method, path, body=None, content_type=None, **more):
        """(status, content type, body)."""
        with contextlib.closing(self.connection()) as connection:
            headers = {"Content-Type": content_type} if content_type else {}
            connection.request(method, path, body, headers, **more)
            answer = connection.getresponse()
            return answer.status, answer.getheader("Content-Type"), answer.read()

    def speak(self, **fields):
        return self.ask("POST", "/v1/audio/speech", json.dumps({"model": "speech", **fields}),
                        "application/json")

    def hear(self, sound, task="transcriptions", **fields):
        return self.ask("POST", f"/v1/audio/{task}", form(sound, **fields), FORM)


def words(text):
    return re.findall(r"[a-z]+", text.lower())


class Case(unittest.TestCase):
    def assert_refused(self, answer, status, words_of_it, param=None):
        self.assertEqual(answer[0], status, f"{answer[2]}")
        error = json.loads(answer[2])["error"]
        self.assertEqual(set(error), {"message", "type", "param", "code"})
        self.assertIn(words_of_it, error["message"])
        self.assertEqual(error["param"], param)
        self.assertEqual(error["type"],
                         "server_error" if status >= 500 else "invalid_request_error")


class ModelHttp(Case):
    """A server whose model is loaded when it reads a line, and that answers with what it got."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="tonnage-test-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        script = self.folder / "echo.py"
        script.write_text(
            f"import sys\nsys.path.insert(0, {str(EXAMPLES)!r})\n"
            "from model_http import *\n"
            "def load():\n"
            "    if sys.stdin.readline() == 'broken\\n':\n"
            "        raise ValueError('no such weights')\n"
            "    return {'/echo': lambda request: Answer(request.body, 'text/plain'),\n"
            "            '/fail': lambda request: 1 // 0}\n"
            "serve(argument_parser('').parse_args(), load)\n", encoding="utf-8")
        self.script = [script]

    def server(self, unix_socket=None, loaded=True):
        server = self.enterContext(Server(self.script, unix_socket))
        if loaded:
            self.tell(server, "go\n")
            server.loaded()
        return server

    @staticmethod
    def tell(server, line):
        server.process.stdin.write(line)
        server.process.stdin.flush()

    def test_it_is_healthy_when_the_model_is_loaded_and_not_before(self):
        server = self.server(loaded=False)
        self.assert_refused(server.ask("GET", "/health")[:3], 503, "the model is loading")
        self.assert_refused(server.ask("POST", "/echo", b"x"), 503, "the model is loading")
        self.tell(server, "go\n")
        server.loaded()
        self.assertEqual(server.ask("POST", "/echo", b"x")[2], b"x")

    def test_a_model_that_cannot_be_loaded_ends_it(self):
        server = self.server(loaded=False)
        self.tell(server, "broken\n")
        self.assertEqual(server.process.wait(10), 1)

    def test_sigterm_ends_it_whether_it_loads_or_serves(self):
        for loaded in (False, True):
            with self.subTest(loaded=loaded):
                self.assertEqual(self.server(loaded=loaded).stop(signal.SIGTERM), 0)

    def test_a_unix_socket_is_its_owners_and_goes_with_the_server(self):
        path = self.folder / "s.sock"
        path.touch()  # of one that was killed
        server = self.server(str(path))
        self.assertEqual(path.stat().st_mode & 0o077, 0)
        self.assertEqual(server.ask("POST", "/echo", b"x")[2], b"x")
        self.assertEqual(server.stop(signal.SIGTERM), 0)
        self.assertFalse(path.exists())

    def test_chunked_bodies_are_read(self):
        body = [b"one, ", b"two"]
        self.assertEqual(self.server().ask("POST", "/echo", iter(body), encode_chunked=True)[2],
                         b"one, two")

    def test_what_is_too_large_is_refused_however_it_is_sent(self):
        server = self.server()
        large = bytes((25 << 20) + 1)
        self.assert_refused(server.ask("POST", "/echo", large), 413, "larger than 25 MiB")
        with contextlib.suppress(ConnectionError):  # it may be closed while the client sends
            pieces = (bytes(1 << 20) for _ in range(30))
            self.assert_refused(server.ask("POST", "/echo", pieces, encode_chunked=True), 413,
                                "larger than 25 MiB")
        self.assertEqual(server.ask("POST", "/echo", b"x")[2], b"x")

    def test_what_fails_is_told_and_ends_nothing(self):
        server = self.server()
        self.assert_refused(server.ask("POST", "/fail", b"x"), 500, "its log says more")
        self.assert_refused(server.ask("POST", "/nowhere", b"x"), 404, "there is no POST /nowhere")
        self.assert_refused(server.ask("PUT", "/echo", b"x"), 501, "PUT")
        self.assertEqual(server.ask("POST", "/echo", b"x")[2], b"x")


class Forms(unittest.TestCase):
    def test_fields_and_bytes_come_back(self):
        data = b"\r\n--\r\n\r\n\x00" + bytes(range(256)) + b"\r\n"
        parts = parse_form(FORM, form(data, language="de"))
        self.assertEqual([(part.name, part.filename) for part in parts],
                         [("model", None), ("language", None), ("file", "a.wav")])
        self.assertEqual(parts[1].text(), "de")
        self.assertEqual(parts[2].data, data)

    def test_a_quoted_boundary_and_other_lines_are_read(self):
        body = (b'preamble\r\n--b c\r\nContent-Type: text/plain\r\nCONTENT-DISPOSITION: form-data;'
                b' name="a"\r\n\r\n1\r\n--b c--\r\nepilogue')
        part, = parse_form('Multipart/Form-Data; boundary="b c"', body)
        self.assertEqual((part.name, part.data), ("a", b"1"))

    def test_what_is_no_form_is_named(self):
        cut = form(b"abc")[:-8]
        many = b"".join(f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n'
                        .encode() for _ in range(100)) + f"--{BOUNDARY}--".encode()
        nameless = f"--{BOUNDARY}\r\nContent-Disposition: form-data\r\n\r\n1\r\n--{BOUNDARY}--"
        for content_type, body, why in (("application/json", b"{}", "not multipart"),
                                        ("multipart/form-data", b"", "no boundary"),
                                        (FORM, b"", "cut off"), (FORM, cut, "cut off"),
                                        (FORM, many, "more than 64"),
                                        (FORM, nameless.encode(), "no name"),
                                        (FORM, f"--{BOUNDARY}\r\n\r\n--{BOUNDARY}--".encode(),
                                         "no head")):
            with self.subTest(why), self.assertRaisesRegex(ValueError, why):
                parse_form(content_type, body)


class Speech(Case):
    @classmethod
    def setUpClass(cls):
        espeak_or_skip()
        cls.server = cls.enterClassContext(Server([EXAMPLES / "speech_server/server.py"])).loaded()

    def sound(self, **fields):
        status, content_type, body = self.server.speak(**fields)
        self.assertEqual((status, content_type), (200, "audio/wav"), body[:300])
        return wave.open(io.BytesIO(body))

    def test_a_sentence_is_a_wav_file_of_its_length(self):
        with self.sound(input=SENTENCE, voice="en-gb") as sound:
            seconds = sound.getnframes() / sound.getframerate()
            self.assertEqual(len(sound.readframes(1 << 30)), 2 * sound.getnframes())
        self.assertTrue(2 < seconds < 10, seconds)

    def test_speed_and_openais_names_of_voices_count(self):
        with self.sound(input=SENTENCE, speed=1) as slow, \
                self.sound(input=SENTENCE, speed=2, voice="onyx") as fast:
            self.assertGreater(slow.getnframes(), 1.5 * fast.getnframes())

    def test_text_is_never_an_option(self):
        with self.sound(input="--version") as sound:
            self.assertGreater(sound.getnframes(), 1000)

    def test_what_it_cannot_do_is_refused(self):
        for fields, why, param in (
                ({}, "the text to speak", "input"), ({"input": "  "}, "the text to speak", "input"),
                ({"input": "a" * 4097}, "longer than 4096", "input"),
                ({"input": "a", "voice": "-h"}, "`voice` is", "voice"),
                ({"input": "a", "voice": "../en"}, "`voice` is", "voice"),
                ({"input": "a", "voice": 1}, "`voice` is", "voice"),
                ({"input": "a", "response_format": "mp3"}, "wav only", "response_format"),
                ({"input": "a", "speed": 9}, "from 0.25 to 4", "speed"),
                ({"input": "a", "speed": "fast"}, "from 0.25 to 4", "speed"),
                ({"input": "a", "colour": 1}, "no field `colour`", "colour")):
            with self.subTest(fields):
                self.assert_refused(self.server.speak(**fields), 400, why, param)
        path = "/v1/audio/speech"
        self.assert_refused(self.server.ask("POST", path, b"[" * 99999, "application/json"), 400,
                            "not a JSON object")
        self.assert_refused(self.server.ask("POST", path, b"hello", "text/plain"), 415, "JSON"
                            .lower())


class Whisper(Case):
    @classmethod
    def setUpClass(cls):
        espeak_or_skip()
        made = subprocess.run([ROOT / "tools/python_env", "whisper_server"], capture_output=True,
                              stdin=subprocess.DEVNULL, text=True, check=False)
        if made.returncode != 0:
            raise unittest.SkipTest(made.stderr.strip().splitlines()[-1])
        model = real_model("whisper").parent
        with Server([EXAMPLES / "speech_server/server.py"]) as speech:
            cls.spoken = speech.loaded().speak(input=SENTENCE, voice="en-us")[2]
        cls.server = cls.enterClassContext(
            Server([EXAMPLES / "whisper_server/server.py", "--model", model])).loaded()

    def assert_understood(self, text):
        alike = difflib.SequenceMatcher(None, words(SENTENCE), words(text)).ratio()
        self.assertGreater(alike, 0.8, text)

    def test_what_was_spoken_is_understood(self):
        status, content_type, body = self.server.hear(self.spoken)
        self.assertEqual((status, content_type), (200, "application/json"), body)
        self.assertEqual(set(json.loads(body)), {"text"})
        self.assert_understood(json.loads(body)["text"])

    def test_every_format_has_its_form(self):
        def heard(**fields):
            status, _, body = self.server.hear(self.spoken, language="en", **fields)
            self.assertEqual(status, 200, body)
            return body.decode()
        self.assert_understood(heard(response_format="text"))
        whole = json.loads(heard(response_format="verbose_json", temperature="0.1",
                                 prompt="A sentence about towns."))
        self.assert_understood(whole["text"])
        self.assertEqual((whole["task"], whole["language"]), ("transcribe", "en"))
        self.assertGreater(whole["duration"], 2)
        self.assertGreater(whole["segments"][-1]["end"], whole["segments"][0]["start"])
        time = r"00:00:0\d[,.]\d{3}"
        self.assertRegex(heard(response_format="srt"),
                         rf"^1\n{time} --> {time}\n.*Paris".replace("[,.]", ","))
        self.assertRegex(heard(response_format="vtt"),
                         rf"^WEBVTT\n\n{time} --> {time}\n.*Paris".replace("[,.]", r"\."))

    def test_english_translated_is_english(self):
        status, _, body = self.server.hear(self.spoken, "translations",
                                           response_format="verbose_json")
        self.assertEqual(status, 200, body)
        self.assertEqual(json.loads(body)["task"], "translate")
        self.assert_understood(json.loads(body)["text"])

    def test_what_is_no_sound_is_refused(self):
        playlist = b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/hostname\n"
        for sound in (b"this is no sound at all" * 100, playlist, self.spoken[:30]):
            with self.subTest(sound[:10]):
                self.assert_refused(self.server.hear(sound), 400, "the file ", "file")
        self.assert_understood(json.loads(self.server.hear(self.spoken)[2])["text"])

    def test_long_sound_is_refused(self):
        file = io.BytesIO()
        with wave.open(file, "wb") as sound:
            sound.setnchannels(1)
            sound.setsampwidth(1)
            sound.setframerate(8000)
            sound.writeframes(b"\x80" * 8000 * 60 * 31)
        self.assert_refused(self.server.hear(file.getvalue()), 400, "longer than 30 minutes",
                            "file")

    def test_fields_are_checked(self):
        for fields, why, param in (
                ({"response_format": "docx"}, "response_format is one of", "response_format"),
                ({"temperature": "7"}, "from 0 to 1", "temperature"),
                ({"temperature": "nan"}, "from 0 to 1", "temperature"),
                ({"language": "klingon"}, "language is a code", "language"),
                ({"prompt": "a" * 3000}, "longer than 2000", "prompt"),
                ({"stream": "true"}, "does not stream", "stream"),
                ({"colour": "red"}, "no field `colour`", "colour")):
            with self.subTest(fields):
                self.assert_refused(self.server.hear(self.spoken, **fields), 400, why, param)
        self.assert_refused(self.server.hear(None), 400, "one field `file`", "file")
        self.assert_refused(self.server.hear(b""), 400, "one field `file`", "file")
        self.assert_refused(self.server.ask("POST", "/v1/audio/transcriptions", b"{}",
                                            "application/json"), 400, "not multipart/form-data")


if __name__ == "__main__":
    unittest.main()
