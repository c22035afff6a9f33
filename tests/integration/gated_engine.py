"""A llama-server whose start waits for a gate, so that tests decide how long a load takes."""

import os
import tempfile
from pathlib import Path

ENGINE = Path(os.environ["TONNAGE_ENGINE_DIR"]) if "TONNAGE_ENGINE_DIR" in os.environ else None


class GatedEngine:
    """`close("demo-large")`: its loads wait until `open("demo-large")`."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="tonnage-gated-"))
        self.gates = self.folder / "gates"
        self.gates.mkdir()
        for name in ("llama-fit-params", "engine.json"):
            if (ENGINE / name).exists():
                (self.folder / name).symlink_to(ENGINE / name)
        self.program = self.folder / "llama-server"
        # An engine that is looked at, and not started, has no alias.
        self.program.write_text(f"""#!/bin/sh
name=; last=
for word in "$@"; do [ "$last" = --alias ] && name="$word"; last="$word"; done
while [ -n "$name" ] && [ -e "{self.gates}/$name" ]; do sleep 0.02; done
exec "{ENGINE}/llama-server" "$@"
""", encoding="ascii")
        self.program.chmod(0o755)

    def close(self, model):
        (self.gates / model).touch()

    def open(self, model):
        (self.gates / model).unlink(missing_ok=True)
