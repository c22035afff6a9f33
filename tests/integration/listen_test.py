"""Where the daemon listens: several addresses, names, IPv6, and ports that are taken."""

import http.client
import socket
import unittest

from daemon import Daemon, demo_models


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
        return True
    except OSError:
        return False


class ListenDaemon(Daemon):
    """Takes its addresses from the configuration alone."""

    def command_line(self):
        words = super().command_line()
        at = words.index("--listen")
        return words[:at] + words[at + 2:]


def configuration(listen):
    return {"listen": listen, "models": {
        "demo-small": {"gguf": str(demo_models("demo") / "demo-small.gguf"), "context": 512}}}


def health(host, port):
    connection = http.client.HTTPConnection(host, port, timeout=20)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status
    finally:
        connection.close()


class Listen(unittest.TestCase):
    def check(self, listen):
        """What `tonnage check` and `tonnage serve` say about it, where they refuse it."""
        daemon = Daemon(configuration(listen))
        words = ("--config", str(daemon.config))
        return (daemon.command("check", str(daemon.config)), daemon.command("serve", *words))

    def test_several_addresses_and_each_answers(self):
        listen = ["127.0.0.1:0", "127.0.0.2:0"] + (["[::1]:0"] if has_ipv6() else [])
        with ListenDaemon(configuration(listen)) as daemon:
            status = daemon.get_json("/api/memory/status")
            shown = status["daemon"]["listen"].split(", ")
            self.assertEqual(len(shown), len(listen))
            for url in shown:
                host, port = url.rsplit(":", 1)
                self.assertEqual(health(host.strip("[]"), int(port)), 200, url)

    def test_a_name_is_looked_up(self):
        with ListenDaemon(configuration("localhost:0")) as daemon:
            self.assertIn(f"at http://localhost:{daemon.port}", daemon.log)
            found = {info[4][0] for info in socket.getaddrinfo("localhost", None,
                                                               type=socket.SOCK_STREAM)}
            for host in found if has_ipv6() else found - {"::1"}:
                self.assertEqual(health(host, daemon.port), 200, host)

    def test_check_and_serve_refuse_the_same_things_with_the_same_words(self):
        for listen in ("no-such-host.invalid:8726", "127.0.0.1", "[::1:1", "127.0.0.1:x", []):
            check, serve = self.check(listen)
            self.assertEqual((check.returncode, serve.returncode), (2, 2), listen)
            self.assertEqual(check.stderr, serve.stderr)
            self.assertIn("listen", check.stderr)

    def test_a_port_that_is_taken_is_an_error_that_names_the_address(self):
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen(1)
            port = other.getsockname()[1]
            serve = self.check(["127.0.0.2:0", f"127.0.0.1:{port}"])[1]
        self.assertNotEqual(serve.returncode, 0)
        self.assertIn(f"127.0.0.1:{port}", serve.stderr + serve.stdout)
        self.assertIn("in use", serve.stderr + serve.stdout)


if __name__ == "__main__":
    unittest.main()
