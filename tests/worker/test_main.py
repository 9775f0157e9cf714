"""What a worker's own process is, beside the children that fit."""

import subprocess
import sys

import pytest


@pytest.mark.slow
def test_neither_workers_nor_api_load_torch_until_something_is_fitted():
    code = (
        "import sys, app.worker.main, app.worker.run_process, app.main, app.cli; "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
