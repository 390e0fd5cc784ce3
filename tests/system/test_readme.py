"""What the README shows to type does what it says."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from salesync.client import Client
from salesync.testing import salesync

README = Path(__file__).resolve().parents[2] / "README.md"
MARK = "<!-- tests/system/test_readme.py runs this block -->"


def block(language: str) -> str:
    """The marked block in a language."""
    found = re.findall(rf"{MARK}\n```{language}\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    assert len(found) == 1, language
    return str(found[0])


@pytest.fixture
def by_hand(tmp_path: Path) -> Iterator[Path]:
    """A folder to type in; what was started there is stopped."""
    yield tmp_path
    salesync("down", "--data", str(tmp_path / ".salesync"))


def test_the_first_sync_by_hand(by_hand: Path) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block("sh")],  # noqa: S607  (bash is on the path)
        cwd=by_hand,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1  created" in done.stdout
    assert "13,000.00    7,340.00    5,660.00  43.54" in done.stdout
    assert "Walnut Desk: 20 of WD-1 at 145.00, 30 of WD-2 at 148.00" in done.stdout


async def test_another_program_consumes_sales(client: Client, addresses: Mapping[str, str]) -> None:
    business = "readme"
    await client.publish({"type": "enable-sales-tracking", "business_id": business})
    await client.wait_for(
        lambda e: e["type"] == "channel-changed" and e["business_id"] == business,
        what="the manual channel",
    )
    await client.publish(
        {
            "type": "put-product",
            "business_id": business,
            "product_id": "stool",
            "name": "Stool",
            "product_type": "finished-good",
        },
        {
            "type": "receive-lot",
            "business_id": business,
            "product_id": "stool",
            "quantity": "5",
            "unit_cost": "12.50",
            "received_on": "2026-01-02",
        },
    )
    await client.wait_for(
        lambda e: e["type"] == "lot-received" and e["business_id"] == business, what="the lot"
    )
    await client.publish(
        {
            "type": "record-manual-sale",
            "business_id": business,
            "sale_date": "2026-02-01",
            "reference": "fair-17",
            "lines": [{"product_id": "stool", "quantity": "2", "unit_price": "30.00"}],
        }
    )
    program = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-u", "-c", block("python")),
        env={**os.environ, **addresses},
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert program.stdout is not None
        async with asyncio.timeout(60):
            line = b""
            while b"fair-17" not in line:
                line = await program.stdout.readline()
                assert line, "the program ended"
    finally:
        program.kill()
        await program.wait()
    assert line.decode().split() == ["sale-recorded", "fair-17", "60.00", "25.00", "35.00"]
