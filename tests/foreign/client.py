"""What Core NATS is for a client that others wrote: nats-py.

It says what it sees on standard output. A line `@restart` or `@lame_duck` asks whoever started it to do that to the
first server, and waits for a line on standard input.
"""

import asyncio
import os
import sys

import nats
from nats.errors import MaxPayloadError, NoRespondersError, TimeoutError

OPEN, USER, TOKEN = (os.environ[name] for name in ["OPEN_URL", "USER_URL", "TOKEN_URL"])
PATIENCE = 30


def say(*words):
    print(*words, flush=True)


async def ask(what):
    say("@" + what)
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, sys.stdin.readline)


async def quiet(_):
    """Errors are told where they matter."""


async def connect(url, **options):
    options = {"error_cb": quiet, "reconnect_time_wait": 0.05, "max_reconnect_attempts": -1} | options
    return await nats.connect(url, **options)


async def next_of(subscription):
    message = await subscription.next_msg(timeout=PATIENCE)
    return f"{message.subject} {message.reply or '-'} {message.headers or {}} {message.data!r}"


async def settle(nc):
    """Waits until the server has done everything. The PING of `flush` can overtake what was written before it."""
    try:
        await nc.request("nobody.anywhere", b"", timeout=PATIENCE)
    except NoRespondersError:
        await nc.flush(PATIENCE)


async def is_silent(nc, subscription):
    """Whether nothing is there once the server has done everything."""
    await settle(nc)
    return subscription.pending_msgs == 0


async def publish_and_subscribe(nc):
    exact = await nc.subscribe("greet.joe")
    star = await nc.subscribe("greet.*")
    rest = await nc.subscribe("greet.>")
    for subject in ["greet.joe", "greet.sue", "greet.joe.again", "greet"]:
        await nc.publish(subject, subject.upper().encode())
    await nc.publish("greet.joe", b"", reply="a.reply")
    await settle(nc)
    for name, subscription, count in [("exact", exact, 2), ("star", star, 3), ("rest", rest, 4)]:
        for _ in range(count):
            say(name, await next_of(subscription))
        say(name, "and no more:", await is_silent(nc, subscription))
        await subscription.unsubscribe()
    await nc.publish("greet.joe", b"to nobody")
    await settle(nc)


async def headers(nc):
    subscription = await nc.subscribe("headed")
    await nc.publish("headed", b"body", headers={"One": "1", "two-words": "a value: with a colon"})
    await nc.publish("headed", b"", reply="r", headers={"Only": "headers"})
    say("headers", await next_of(subscription))
    say("headers", await next_of(subscription))
    await subscription.unsubscribe()


async def queue_groups(nc, other):
    counts = {}

    async def count(message):
        counts[message.data] = counts.get(message.data, 0) + 1

    plain = []
    for client in [nc, nc, other]:
        await client.subscribe("work", queue="workers", cb=count)
    for client in [nc, other]:
        plain.append(await client.subscribe("work"))
    await settle(other)
    for number in range(60):
        await nc.publish("work", str(number).encode())
    for client in [nc, other]:
        await settle(client)
    while len(counts) < 60:
        await asyncio.sleep(0.01)
    say("queue group:", len(counts), "messages,", max(counts.values()), "time each")
    say("beside it:", [subscription.pending_msgs for subscription in plain])


async def requests(nc, other):
    async def answer(message):
        await message.respond(b"you said " + message.data)

    await other.subscribe("service", cb=answer)
    await settle(other)
    for number in range(3):
        say("reply", (await nc.request("service", str(number).encode(), timeout=PATIENCE)).data)
    with_headers = await nc.request("service", b"h", timeout=PATIENCE, headers={"A": "b"})
    say("reply", with_headers.data)
    try:
        await nc.request("nobody.here", b"?", timeout=PATIENCE)
    except NoRespondersError as error:
        say("no responders:", error)
    silent = await other.subscribe("silent")
    await settle(other)
    try:
        await nc.request("silent", b"?", timeout=0.2)
    except TimeoutError as error:
        say("no reply:", error, (await silent.next_msg(timeout=PATIENCE)).data)


async def unsubscribing(nc):
    subscription = await nc.subscribe("few")
    await subscription.unsubscribe(limit=2)
    received = []

    async def keep(message):
        received.append(message.data)

    limited = await nc.subscribe("few", cb=keep)
    await limited.unsubscribe(limit=3)
    for number in range(5):
        await nc.publish("few", str(number).encode())
    await settle(nc)
    say("at most two:", await next_of(subscription), await next_of(subscription))
    while len(received) < 3:
        await asyncio.sleep(0.01)
    await settle(nc)
    say("at most three:", received)


async def limits(nc):
    say("max_payload", nc.max_payload)
    subscription = await nc.subscribe("large")
    await nc.publish("large", b"x" * nc.max_payload)
    say("at the limit:", len((await subscription.next_msg(PATIENCE)).data))
    try:
        await nc.publish("large", b"x" * (nc.max_payload + 1))
    except MaxPayloadError as error:
        say("beyond the limit:", error)
    await subscription.unsubscribe()


async def restart():
    events = {name: asyncio.Event() for name in ["disconnected", "reconnected"]}

    def on(name):
        async def happened():
            events[name].set()

        return {name + "_cb": happened}

    nc = await connect(OPEN, **on("disconnected"), **on("reconnected"))
    subscription = await nc.subscribe("still.*")
    queue = await nc.subscribe("still.*", queue="q")
    await settle(nc)
    await ask("restart")
    for name, event in events.items():
        await asyncio.wait_for(event.wait(), PATIENCE)
        say(name)
    await nc.publish("still.here", b"after the restart")
    say(await next_of(subscription))
    say(await next_of(queue))
    await nc.drain()
    say("closed:", nc.is_closed)


async def draining():
    nc = await connect(OPEN)
    other = await connect(OPEN)
    received = []

    async def slowly(message):
        await asyncio.sleep(0.002)
        received.append(message.data)

    subscription = await nc.subscribe("drained", cb=slowly)
    await settle(nc)
    for number in range(50):
        await other.publish("drained", str(number).encode())
    await settle(other)
    await subscription.drain()
    await other.publish("drained", b"late")
    await settle(other)
    while len(received) < 50:
        await asyncio.sleep(0.01)
    await nc.drain()
    say("drained:", len(received), "messages, closed:", nc.is_closed)
    await other.close()


async def refusals():
    for name, url, options in [
        ("a user", USER, {"user": "ann", "password": "s3cret"}),
        ("a wrong password", USER, {"user": "ann", "password": "wrong"}),
        ("no password", USER, {}),
        ("a token", TOKEN, {"token": "t0ken"}),
        ("a wrong token", TOKEN, {"token": "wrong"}),
        ("a user for a token", TOKEN, {"user": "ann", "password": "s3cret"}),
    ]:
        try:
            nc = await connect(url, allow_reconnect=False, **options)
            say(name, "comes in:", nc.is_connected)
            await nc.close()
        except Exception as error:
            say(name, "is kept out:", type(error).__name__, error)


async def modes():
    for options in [{"verbose": True}, {"pedantic": True}, {"verbose": True, "pedantic": True}]:
        nc = await connect(OPEN, **options)
        subscription = await nc.subscribe("modes")
        await nc.publish("modes", b"x")
        say(options, await next_of(subscription))
        await nc.close()
    nc = await connect(OPEN, no_echo=True)
    subscription = await nc.subscribe("modes")
    await nc.publish("modes", b"to others only")
    say("no echo:", await is_silent(nc, subscription))
    await nc.close()


async def lame_duck():
    told = asyncio.Event()

    async def tell():
        told.set()

    nc = await connect(OPEN, lame_duck_mode_cb=tell)
    await settle(nc)
    await ask("lame_duck")
    await asyncio.wait_for(told.wait(), PATIENCE)
    say("the server is a lame duck")
    await nc.close()


async def main():
    nc, other = await connect(OPEN), await connect(OPEN)
    say("connected:", nc.is_connected)
    await publish_and_subscribe(nc)
    await headers(nc)
    await queue_groups(nc, other)
    await requests(nc, other)
    await unsubscribing(nc)
    await limits(nc)
    await nc.flush(PATIENCE)
    say("round trip:", await nc.rtt() > 0)
    await nc.close()
    await other.close()
    await modes()
    await draining()
    await restart()
    await refusals()
    await lame_duck()
    say("done")


# Whatever hangs is told as a failure.
asyncio.run(asyncio.wait_for(main(), 4 * PATIENCE))
