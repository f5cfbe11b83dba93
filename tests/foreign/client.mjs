// What Core NATS is for a client that others wrote: @nats-io/transport-node.
//
// It says what it sees on standard output. A line `@restart` or `@lame_duck` asks whoever started it to do that to the
// first server, and waits for a line on standard input.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const { OPEN_URL: OPEN, USER_URL: USER, TOKEN_URL: TOKEN, NODE_PACKAGES } = process.env;
const { connect, headers } = createRequire(NODE_PACKAGES)("@nats-io/transport-node");

const PATIENCE = 30_000;
const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const say = (...words) => console.log(words.map(String).join(" "));

async function ask(what) {
  say(`@${what}`);
  await answers.next();
}

const open = (servers, options = {}) =>
  connect({ servers, reconnectTimeWait: 50, maxReconnectAttempts: -1, ...options });

const shown = (message) => {
  const all = message.headers ? message.headers.keys().map((key) => `${key}=${message.headers.values(key)}`) : [];
  return `${message.subject} ${message.reply ?? "-"} [${all}] ${JSON.stringify(message.string())}`;
};

/// A subscription that keeps what it gets.
function keep(nc, subject, options = {}) {
  const received = [];
  const subscription = nc.subscribe(subject, { ...options, callback: (_, message) => received.push(shown(message)) });
  return { subscription, received };
}

async function publishAndSubscribe(nc) {
  const kept = ["greet.joe", "greet.*", "greet.>"].map((subject) => keep(nc, subject));
  for (const subject of ["greet.joe", "greet.sue", "greet.joe.again", "greet"]) {
    nc.publish(subject, subject.toUpperCase());
  }
  nc.publish("greet.joe", "", { reply: "a.reply" });
  await nc.flush();
  for (const { subscription, received } of kept) {
    received.forEach((line) => say(subscription.getSubject(), line));
    subscription.unsubscribe();
  }
  nc.publish("greet.joe", "to nobody");
  await nc.flush();
  say("after unsubscribing:", kept.map(({ received }) => received.length));
}

async function withHeaders(nc) {
  const { subscription, received } = keep(nc, "headed");
  const both = headers();
  both.append("One", "1");
  both.append("One", "2");
  both.append("two-words", "a value: with a colon");
  nc.publish("headed", "body", { headers: both });
  nc.publish("headed", "", { headers: both, reply: "r" });
  await nc.flush();
  received.forEach((line) => say("headers", line));
  subscription.unsubscribe();
}

async function queueGroups(nc, other) {
  const members = [nc, nc, other].map((client) => keep(client, "work", { queue: "workers" }));
  const plain = [nc, other].map((client) => keep(client, "work"));
  await other.flush();
  for (let number = 0; number < 60; number++) {
    nc.publish("work", `${number}`);
  }
  await nc.flush();
  await other.flush();
  const all = members.flatMap(({ received }) => received);
  say("queue group:", all.length, "messages,", new Set(all).size, "different ones");
  say("beside it:", plain.map(({ received }) => received.length));
}

async function requests(nc, other) {
  other.subscribe("service", { callback: (_, message) => message.respond(`you said ${message.string()}`) });
  other.subscribe("silent", { callback: () => {} });
  await other.flush();
  for (const noMux of [false, true]) {
    for (let number = 0; number < 3; number++) {
      const reply = await nc.request("service", `${number}`, { timeout: PATIENCE, noMux });
      say("reply", reply.string());
    }
    for (const [subject, timeout] of [["nobody.here", PATIENCE], ["silent", 200]]) {
      try {
        await nc.request(subject, "?", { timeout, noMux });
      } catch (error) {
        say("no reply:", error.name, error.message);
      }
    }
  }
}

async function unsubscribing(nc) {
  const limited = [1, 3].map((max) => keep(nc, "few", { max }));
  for (let number = 0; number < 5; number++) {
    nc.publish("few", `${number}`);
  }
  await nc.flush();
  limited.forEach(({ received, subscription }) => say("at most:", received, subscription.isClosed()));
}

async function limits(nc) {
  const max = nc.info.max_payload;
  say("max_payload", max);
  const sizes = [];
  const subscription = nc.subscribe("large", { callback: (_, message) => sizes.push(message.data.length) });
  nc.publish("large", new Uint8Array(max));
  await nc.flush();
  say("at the limit:", sizes);
  try {
    nc.publish("large", new Uint8Array(max + 1));
  } catch (error) {
    say("beyond the limit:", error.name, error.message);
  }
  subscription.unsubscribe();
}

async function refusals() {
  for (const [name, url, options] of [
    ["a user", USER, { user: "ann", pass: "s3cret" }],
    ["a wrong password", USER, { user: "ann", pass: "wrong" }],
    ["no password", USER, {}],
    ["a token", TOKEN, { token: "t0ken" }],
    ["a wrong token", TOKEN, { token: "wrong" }],
    ["a user for a token", TOKEN, { user: "ann", pass: "s3cret" }],
  ]) {
    try {
      const nc = await open(url, { reconnect: false, ...options });
      say(name, "comes in:", !nc.isClosed());
      await nc.close();
    } catch (error) {
      say(name, "is kept out:", error.name, error.message);
    }
  }
}

/// What happens to the connection, one thing after the other.
function statuses(nc) {
  const all = nc.status()[Symbol.asyncIterator]();
  return async (type) => {
    for (;;) {
      const { value, done } = await all.next();
      if (done || value.type === type) return say("status:", done ? "none" : value.type);
    }
  };
}

async function restart() {
  const nc = await open(OPEN);
  const status = statuses(nc);
  const kept = [keep(nc, "still.*"), keep(nc, "still.*", { queue: "q" })];
  await nc.flush();
  await ask("restart");
  await status("disconnect");
  await status("reconnect");
  nc.publish("still.here", "after the restart");
  await nc.flush();
  kept.forEach(({ received }) => say(received));
  await nc.drain();
  say("closed:", nc.isClosed());
}

async function draining() {
  const [nc, other] = [await open(OPEN), await open(OPEN)];
  const drained = keep(nc, "drained");
  await nc.flush();
  for (let number = 0; number < 50; number++) {
    other.publish("drained", `${number}`);
  }
  await other.flush();
  await drained.subscription.drain();
  other.publish("drained", "late");
  await other.flush();
  await nc.drain();
  say("drained:", drained.received.length, "messages, closed:", nc.isClosed());
  await other.close();
}

async function modes() {
  for (const options of [{ verbose: true }, { pedantic: true }, { verbose: true, pedantic: true }, { noEcho: true }]) {
    const nc = await open(OPEN, options);
    const { received } = keep(nc, "modes");
    nc.publish("modes", "x");
    await nc.flush();
    say(JSON.stringify(options), received);
    await nc.close();
  }
}

async function lameDuck() {
  const nc = await open(OPEN);
  const status = statuses(nc);
  await nc.flush();
  await ask("lame_duck");
  await status("ldm");
  await nc.close();
}

// Whatever hangs is told as a failure.
setTimeout(() => {
  console.error("gave up");
  process.exit(1);
}, 4 * PATIENCE).unref();

const [nc, other] = [await open(OPEN), await open(OPEN)];
say("connected:", !nc.isClosed());
await publishAndSubscribe(nc);
await withHeaders(nc);
await queueGroups(nc, other);
await requests(nc, other);
await unsubscribing(nc);
await limits(nc);
say("round trip:", (await nc.rtt()) >= 0);
await nc.close();
await other.close();
await modes();
await draining();
await restart();
await refusals();
await lameDuck();
say("done");
process.exit(0);
