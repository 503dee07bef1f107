"""A local server whose first answer fails says why in the server's own words."""

import sys
from pathlib import Path

import pytest
from unit.prompts.test_pictures import byte_tokenizer

from lore_core.jobs import RuleMode, ServingProfile
from lore_core.prompts import PromptLayout, TextEncoder, build_contract
from lore_core.scoring.server import LocalServer, ServerError

# Stands for vLLM, which would need a processor whose kernel fails: ready, then out of words.
SERVER = """#!{python}
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

    def do_POST(self):
        print("kernel: expect A to be half", flush=True)
        if {answers}:
            self.send_response(500)
            self.end_headers()
        else:
            self.connection.close()

HTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Handler).serve_forever()
"""


@pytest.mark.parametrize(("answers", "what"), [(True, "failed with status 500"), (False, "was not answered")])
def test_a_server_that_fails_at_its_first_request_is_quoted(tmp_path: Path, answers: bool, what: str) -> None:
    (tmp_path / "tokenizer.json").write_bytes(byte_tokenizer())
    contract = build_contract(TextEncoder.load(tmp_path), PromptLayout.LABEL_FIRST, RuleMode.NONE, 96)
    (tmp_path / "lore-contract.json").write_bytes(contract.to_bytes())
    server = tmp_path / "server"
    server.write_text(SERVER.format(python=sys.executable, answers=answers))
    server.chmod(0o755)

    with (
        pytest.raises(ServerError, match=rf"(?s)the first request {what}.*\n.*kernel: expect A to be half"),
        LocalServer(tmp_path, ServingProfile(image="local", max_model_len=512), python=str(server)),
    ):
        pass
