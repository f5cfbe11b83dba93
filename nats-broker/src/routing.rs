//! From a subject to the subscriptions that match it.
//!
//! A trie with one level a token. The nodes lie in one vector and are named by their index, and every walk
//! has its own stack: a subject with thousands of tokens must not be able to exhaust the call stack, neither
//! when it is matched nor when the trie is dropped. All maps are ordered, so that no order of delivery ever
//! depends on hashing.

#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::members::Members;

/// A subscription's place in the table of subscriptions. Ordered by age.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SubscriptionKey {
    /// Counts up, so that a slot that is used again has another key.
    pub(crate) serial: u64,
    /// The slot in the table.
    pub(crate) slot: usize,
}

/// Why a subject cannot be subscribed to: an empty token, or something after `>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InvalidSubject;

/// What matches a subject.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Matches {
    /// Each of these gets the message.
    pub(crate) plain: Vec<SubscriptionKey>,
    /// One member of each of these gets it. Members with the same group name belong together even if they
    /// subscribed to different subjects.
    pub(crate) queues: Vec<(Bytes, Vec<SubscriptionKey>)>,
}

impl Matches {
    pub(crate) fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.queues.is_empty()
    }
}

/// The trie.
#[derive(Debug)]
pub(crate) struct Routes {
    nodes: Vec<Node>,
    free: Vec<usize>,
    generation: u64,
    stack: Vec<(usize, usize)>,
}

#[derive(Debug, Default)]
struct Node {
    children: BTreeMap<Box<[u8]>, usize>,
    /// Below `*`.
    star: Option<usize>,
    /// Below `>`.
    rest: Option<usize>,
    plain: Members,
    queues: BTreeMap<Bytes, Members>,
}

impl Node {
    fn is_unused(&self) -> bool {
        self.children.is_empty()
            && self.star.is_none()
            && self.rest.is_none()
            && self.plain.is_empty()
            && self.queues.is_empty()
    }

    fn child(&self, token: &[u8]) -> Option<usize> {
        match token {
            b"*" => self.star,
            b">" => self.rest,
            _ => self.children.get(token).copied(),
        }
    }
}

/// The index of the node that all subjects begin at.
const ROOT: usize = 0;

/// Up to so many queue groups are looked through for a name; among more, it is looked up.
const FEW_QUEUES: usize = 8;

impl Routes {
    pub(crate) fn new() -> Self {
        Self {
            nodes: Vec::from([Node::default()]),
            free: Vec::new(),
            generation: 0,
            stack: Vec::new(),
        }
    }

    /// Changes with every change of the routes: what was matched before it can be reused as long as this
    /// stays the same.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Routes `subject`, which may have wildcards, to `key`.
    pub(crate) fn insert(
        &mut self,
        subject: &[u8],
        queue: Option<&Bytes>,
        key: SubscriptionKey,
    ) -> Result<(), InvalidSubject> {
        if !is_valid_pattern(subject) {
            return Err(InvalidSubject);
        }
        self.generation = self.generation.wrapping_add(1);
        let mut at = ROOT;
        for token in tokens(subject) {
            at = match self.nodes.get(at).and_then(|node| node.child(token)) {
                Some(next) => next,
                None => self.add_child(at, token),
            };
        }
        if let Some(node) = self.nodes.get_mut(at) {
            match queue {
                None => node.plain.insert(key),
                Some(queue) => node.queues.entry(queue.clone()).or_default().insert(key),
            }
        }
        Ok(())
    }

    /// Takes `key` out again; `subject` and `queue` are those that it was inserted with.
    ///
    /// Maps that become empty are replaced, since they would keep a part of their memory, and so are the nodes when there
    /// is nothing but the root.
    pub(crate) fn remove(&mut self, subject: &[u8], queue: Option<&Bytes>, key: SubscriptionKey) {
        self.generation = self.generation.wrapping_add(1);
        let mut path = Vec::new();
        let mut at = ROOT;
        for token in tokens(subject) {
            let Some(next) = self.nodes.get(at).and_then(|node| node.child(token)) else {
                return;
            };
            path.push((at, token, next));
            at = next;
        }
        if let Some(node) = self.nodes.get_mut(at) {
            match queue {
                None => node.plain.remove(key),
                Some(queue) => {
                    if let Some(members) = node.queues.get_mut(queue) {
                        members.remove(key);
                        if members.is_empty() {
                            node.queues.remove(queue);
                        }
                        if node.queues.is_empty() {
                            node.queues = BTreeMap::new();
                        }
                    }
                }
            }
        }
        for (parent, token, child) in path.into_iter().rev() {
            match self.nodes.get_mut(child) {
                Some(node) if node.is_unused() => *node = Node::default(),
                _ => break,
            }
            if let Some(parent) = self.nodes.get_mut(parent) {
                match token {
                    b"*" => parent.star = None,
                    b">" => parent.rest = None,
                    _ => {
                        parent.children.remove(token);
                        if parent.children.is_empty() {
                            parent.children = BTreeMap::new();
                        }
                    }
                }
            }
            self.free.push(child);
        }
        if self.free.len().saturating_add(1) == self.nodes.len() {
            self.nodes = Vec::from([Node::default()]);
            (self.free, self.stack) = (Vec::new(), Vec::new());
        }
    }

    /// Puts everything that matches `subject` into `found`, which is emptied first.
    ///
    /// A subject with an empty token matches nothing, not even `>`. A `*` or `>` in `subject` is an ordinary
    /// token. Gives the number of nodes that it has looked at.
    pub(crate) fn find(&mut self, subject: &[u8], found: &mut Matches) -> u64 {
        found.plain.clear();
        found.queues.clear();
        let mut steps = 0;
        if tokens(subject).any(<[u8]>::is_empty) {
            return steps;
        }
        let mut places = None;
        let mut stack = core::mem::take(&mut self.stack);
        stack.clear();
        stack.push((ROOT, 0));
        while let Some((at, start)) = stack.pop() {
            steps += 1;
            let (Some(node), Some(rest)) = (self.nodes.get(at), subject.get(start..)) else {
                continue;
            };
            let (token, next_start) = match memchr_dot(rest) {
                Some(dot) => (rest.get(..dot).unwrap_or_default(), start.checked_add(dot + 1)),
                None => (rest, None),
            };
            // Wildcards are nodes of their own: a published `*` or `>` has no literal node to reach.
            let literal = match token {
                b"*" | b">" => None,
                _ => node.children.get(token).copied(),
            };
            self.collect(node.rest, found, &mut places);
            match next_start {
                // The last one pushed is visited first: `*` before the literal token, as the real server does.
                Some(next_start) => {
                    stack.extend(literal.map(|child| (child, next_start)));
                    stack.extend(node.star.map(|child| (child, next_start)));
                }
                None => {
                    self.collect(literal, found, &mut places);
                    self.collect(node.star, found, &mut places);
                }
            }
        }
        self.stack = stack;
        steps
    }

    /// Adds what is subscribed at `node`. `places` has those of as many queue groups in `found` as it is long, if
    /// there are more than a few.
    fn collect(
        &self,
        node: Option<usize>,
        found: &mut Matches,
        places: &mut Option<BTreeMap<Bytes, usize>>,
    ) {
        let Some(node) = node.and_then(|index| self.nodes.get(index)) else {
            return;
        };
        node.plain.append_to(&mut found.plain);
        if node.queues.is_empty() {
            return;
        }
        // Of one node, each group comes once: only those of the nodes before it can be the same.
        let earlier = found.queues.len();
        if earlier > FEW_QUEUES {
            let places = places.get_or_insert_default();
            for (place, (name, _)) in found.queues.iter().enumerate().skip(places.len()) {
                places.insert(name.clone(), place);
            }
        }
        for (name, members) in &node.queues {
            let place = match places {
                None => found.queues.iter().take(earlier).position(|(other, _)| other == name),
                Some(places) => places.get(name).copied(),
            };
            match place.and_then(|place| found.queues.get_mut(place)) {
                Some((_, all)) => members.append_to(all),
                None => {
                    let mut all = Vec::with_capacity(members.len());
                    members.append_to(&mut all);
                    found.queues.push((name.clone(), all));
                }
            }
        }
    }

    fn add_child(&mut self, parent: usize, token: &[u8]) -> usize {
        let child = match self.free.pop() {
            Some(unused) => unused,
            None => {
                self.nodes.push(Node::default());
                self.nodes.len() - 1
            }
        };
        if let Some(parent) = self.nodes.get_mut(parent) {
            match token {
                b"*" => parent.star = Some(child),
                b">" => parent.rest = Some(child),
                _ => {
                    parent.children.insert(token.into(), child);
                }
            }
        }
        child
    }
}

pub(crate) fn tokens(subject: &[u8]) -> impl Iterator<Item = &[u8]> {
    subject.split(|byte| *byte == b'.')
}

fn memchr_dot(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|byte| *byte == b'.')
}

/// Whether `subject` can be subscribed to: no empty token, and nothing after `>`. A token such as `a*` is
/// an ordinary one.
fn is_valid_pattern(subject: &[u8]) -> bool {
    let mut ended = false;
    tokens(subject).all(|token| {
        let valid = !token.is_empty() && !ended;
        ended = token == b">";
        valid
    })
}

/// Whether `subject` is one to publish to: no empty token, and no token that is a wildcard.
pub(crate) fn is_literal(subject: &[u8]) -> bool {
    tokens(subject).all(|token| !matches!(token, b"" | b"*" | b">"))
}
