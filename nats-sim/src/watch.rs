//! What an observer is shown of what a client sends to its broker.

use std::collections::BTreeMap;

use bytes::BytesMut;
use nats_broker::Config;
use nats_proto::wire::{ClientDecoder, ClientOp, ClientOps, Limits, PublishFrame};

/// Decodes the input of a client once more, beside the broker, to see what that handles.
#[derive(Debug)]
pub(crate) struct Watch {
    decoder: ClientDecoder,
    input: BytesMut,
    listens: Listens,
}

/// What a client has subscribed to.
#[derive(Debug, Default)]
struct Listens {
    /// Subjects by the client's names for the subscriptions; none where the broker may have the subscription or not.
    subjects: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    /// Whether it wants its own messages, once it has introduced itself.
    echo: Option<bool>,
}

impl Watch {
    pub(crate) fn new() -> Self {
        // What is too large is the broker's to find out: it handles nothing of that.
        let mut limits = Limits::default();
        limits.control_line = usize::MAX;
        limits.info = usize::MAX;
        limits.header_block = usize::MAX;
        limits.payload = usize::MAX;
        Self {
            decoder: ClientDecoder::new(limits),
            input: BytesMut::new(),
            listens: Listens::default(),
        }
    }

    /// Takes `input`, of which the broker, with these settings, has handled `count` publishes, and shows each of them,
    /// with how many of the client's own subscriptions get it.
    pub(crate) fn look(
        &mut self,
        input: &[u8],
        config: &Config,
        count: u64,
        mut show: impl FnMut(&[u8], &PublishFrame, usize),
    ) {
        self.input.extend_from_slice(input);
        let mut ops = ClientOps::new();
        // What is wrong with the input is the broker's to find out, too.
        let _ = self.decoder.decode(&mut self.input, &mut ops);
        let mut shown = 0;
        for op in ops.items.drain(..) {
            self.listens.note(&ops.chunk, &op, config);
            let ClientOp::Publish(frame) = op else { continue };
            if shown == count {
                break;
            }
            shown += 1;
            let own = match self.listens.echo {
                Some(false) => 0,
                _ => self.listeners(frame.subject.of(&ops.chunk)),
            };
            show(&ops.chunk, &frame, own);
        }
        assert_eq!(shown, count, "publishes that came from nowhere");
    }

    /// How many subscriptions the client has for exactly this subject, at least.
    pub(crate) fn listeners(&self, subject: &[u8]) -> usize {
        self.listens.subjects.values().flatten().filter(|other| *other == subject).count()
    }
}

impl Listens {
    /// Takes note of an operation of the client, as a broker with these settings does.
    fn note(&mut self, chunk: &[u8], op: &ClientOp, config: &Config) {
        match op {
            ClientOp::Connect(connect) => {
                let before = self.echo.replace(connect.echo);
                if before.is_some() {
                    self.subjects.clear();
                }
            }
            ClientOp::Subscribe { subject, queue, sid } => {
                let (subject, sid) = (subject.of(chunk), sid.of(chunk));
                // A name that is in use keeps its subject.
                if is_refused(subject, queue.of(chunk), config) || self.subjects.contains_key(sid) {
                    return;
                }
                let has_room = self.subjects.len() < config.max_subscriptions;
                self.subjects.insert(sid.into(), has_room.then(|| subject.into()));
            }
            ClientOp::Unsubscribe { sid, max: None } => drop(self.subjects.remove(sid.of(chunk))),
            // It ends at its maximum, which it may have reached.
            ClientOp::Unsubscribe { sid, max: Some(_) } => {
                if let Some(subject) = self.subjects.get_mut(sid.of(chunk)) {
                    *subject = None;
                }
            }
            _ => {}
        }
    }
}

/// Whether a broker does not take such a subscription at all.
fn is_refused(subject: &[u8], queue: &[u8], config: &Config) -> bool {
    let tokens: Vec<&[u8]> = subject.split(|byte| *byte == b'.').collect();
    let most = config.max_subscription_tokens;
    let (last, others) = tokens.split_last().expect("what is split has a part");
    queue == b"_sys_"
        || (most > 0 && tokens.len() > most)
        || last.is_empty()
        || others.iter().any(|token| matches!(*token, b"" | b">"))
}
