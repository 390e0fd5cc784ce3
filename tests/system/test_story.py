"""The story of the demo, held to numbers that were worked out by hand."""

from collections.abc import Mapping
from typing import Any

from local_stack import kafka
from salesync.client import Client, Event
from salesync.story import BUSINESS, CHANNEL, Story

CONSUMER_GROUPS = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"
CONSOLE_PRODUCER = "org.apache.kafka.tools.ConsoleProducer"
CONSOLE_CONSUMER = "org.apache.kafka.tools.consumer.ConsoleConsumer"


async def test_three_syncs_tell_the_truth_about_a_workshop(
    client: Client, addresses: Mapping[str, str]
) -> None:
    realm, token = "9130000000000077", "token-of-the-story"
    await client.send(
        "QUICKBOOKS_SANDBOX",
        "POST",
        "/control/companies",
        {"realm": realm, "name": "Story Workshop", "stocked": True, "refresh_token": token},
    )
    story = Story(client, realm, token)
    await story.set_up()
    await story.stock()
    await story.write_books()

    await first_sync(story)
    await second_sync(story)
    await third_sync(story)
    await a_sync_by_kafkas_own_tools(client, addresses)
    assert [
        (report["service"], check["invariant"], check["violations"])
        for report in await story.verify()
        for check in report["checks"]
        if check["violations"]
    ] == []


def assert_adds_up(summary: Event) -> None:
    """I7: the five counts are what was received."""
    counted = summary["created"] + summary["updated"] + summary["voided"]
    counted += sum(summary["skipped"].values()) + len(summary["errors"])
    assert counted == summary["received"]


def figures(sale: Mapping[str, Any]) -> tuple[str, ...]:
    return sale["status"], sale["revenue"], sale["cost"], sale["margin"]


def lots_of(sale: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    return [
        (a["lot_number"], a["quantity"], a["unit_cost"])
        for line in sale["lines"]
        for a in line["allocations"]
    ]


async def first_sync(story: Story) -> None:
    summary = await story.sync()
    assert summary["type"] == "sync-completed"
    assert_adds_up(summary)
    assert (summary["received"], summary["created"], summary["updated"]) == (5, 4, 0)
    assert (summary["revenue"], summary["cost"], summary["margin"]) == (
        "14217.30",
        "7843.00",
        "6374.30",
    )
    (error,) = summary["errors"]
    assert (error["kind"], error["number"]) == ("invoice", story.numbers["lamps"])
    assert error["code"] == "item-not-linked"
    assert "Brass Lamp" in error["message"]
    assert "link-item" in error["hint"]

    sales = await story.sales()
    assert story.numbers["early"] not in sales
    desks = sales[story.numbers["desks"]]
    assert figures(desks) == ("active", "13000.00", "7340.00", "5660.00")
    assert lots_of(desks) == [("WD-1", "20", "145.00"), ("WD-2", "30", "148.00")]
    dining = sales[story.numbers["dining"]]
    assert figures(dining) == ("active", "380.00", "154.00", "226.00")
    assert [line["skipped_reason"] for line in dining["lines"]] == [
        None,
        "not-a-finished-good",
        "not-a-finished-good",
        "subtotal",
    ]
    assert figures(sales[story.numbers["cafe"]]) == ("active", "570.00", "231.00", "339.00")
    offer = sales[story.numbers["offer"]]
    assert figures(offer) == ("active", "267.30", "118.00", "149.30")
    assert lots_of(offer) == [("OC-1", "2", "38.50"), ("OC-2", "1", "41.00")]
    assert sales[story.numbers["lamps"]]["status"] == "waiting"
    assert remaining(await story.lots()) == {
        "WD-1": "0",
        "WD-2": "0",
        "WD-3": "25",
        "OC-1": "0",
        "OC-2": "39",
        "TL-1": "400",
    }


async def second_sync(story: Story) -> None:
    lots, sales = await story.lots(), untried(await story.sales())
    before = len(story.client.events)
    summary = await story.sync()
    assert_adds_up(summary)
    assert (summary["created"], summary["updated"], summary["voided"]) == (0, 0, 0)
    assert list(summary["skipped"]) == ["unchanged"]
    assert [e["code"] for e in summary["errors"]] == ["item-not-linked"]
    assert await story.lots() == lots
    assert untried(await story.sales()) == sales
    told = {e["type"] for e in story.client.events[before:]}
    assert told <= {"sync-started", "transactions-published", "sync-completed", "sale-failed"}


async def third_sync(story: Story) -> None:
    await story.change_books()
    await story.link_lamp()
    summary = await story.sync()
    assert_adds_up(summary)
    assert (summary["created"], summary["updated"], summary["voided"]) == (1, 1, 2)
    assert summary["errors"] == []

    sales = await story.sales()
    desks = sales[story.numbers["desks"]]
    assert figures(desks) == ("active", "10400.00", "5860.00", "4540.00")
    assert lots_of(desks) == [("WD-1", "20", "145.00"), ("WD-2", "20", "148.00")]
    for name in ("dining", "cafe"):
        assert figures(sales[story.numbers[name]]) == ("voided", "0", "0", "0")
    lamps = sales[story.numbers["lamps"]]
    assert figures(lamps) == ("active", "351.00", "129.50", "221.50")
    assert lots_of(lamps) == [("BL-1", "4", "22.75"), ("OC-1", "1", "38.50")]
    assert remaining(await story.lots()) == {
        "WD-1": "0",
        "WD-2": "10",
        "WD-3": "25",
        "OC-1": "9",
        "OC-2": "39",
        "TL-1": "400",
        "BL-1": "6",
    }


async def a_sync_by_kafkas_own_tools(client: Client, addresses: Mapping[str, str]) -> None:
    """The command typed into Kafka's own producer, the answer read with its own consumer."""
    brokers = ("--bootstrap-server", addresses["KAFKA_BOOTSTRAP_SERVERS"])
    sync_id = "typed-by-hand"
    command = (
        f'{{"type": "sync-requested", "business_id": "{BUSINESS}", '
        f'"channel_id": "{CHANNEL}", "sync_id": "{sync_id}"}}\n'
    )
    produced = kafka.tool(
        CONSOLE_PRODUCER, *brokers, "--topic", "channels.commands.v1", input=command
    )
    assert produced.returncode == 0, produced.stderr
    await client.wait_for(
        lambda e: e["type"] == "sync-completed" and e["sync_id"] == sync_id,
        what="the summary of the typed sync",
    )
    consumed = kafka.tool(
        CONSOLE_CONSUMER,
        *brokers,
        *("--topic", "sales.events.v1", "--from-beginning", "--timeout-ms", "5000"),
    )
    answers = [line for line in consumed.stdout.splitlines() if sync_id in line]
    assert len([line for line in answers if '"sync-completed"' in line]) == 1
    for group in ("channel-connector", "sales-processor", "inventory"):
        described = kafka.tool(CONSUMER_GROUPS, *brokers, "--describe", "--group", group)
        rows = [line.split() for line in described.stdout.splitlines() if ".v1 " in line]
        assert rows, described.stdout + described.stderr
        assert {row[5] for row in rows if row[3] != "-"} == {"0"}, described.stdout


def untried(sales: Mapping[str, Any]) -> dict[str, Any]:
    """Sales without the name of the run that last tried them."""
    return {number: {**sale, "sync_id": None} for number, sale in sales.items()}


def remaining(lots: Mapping[str, Any]) -> dict[str, str]:
    return {number: lot["quantity_remaining"] for number, lot in lots.items()}
