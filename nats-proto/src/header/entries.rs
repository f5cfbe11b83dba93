//! What a map of headers holds.

use alloc::vec;
use alloc::vec::Vec;
use core::iter::{self, Chain, Once};
use core::{mem, slice};

use super::{HeaderName, HeaderValue};

/// A name and its values.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: HeaderName,
    pub(super) values: Values,
}

impl Entry {
    pub(super) fn new(name: HeaderName, value: HeaderValue) -> Self {
        Self { name, values: Values::One(value) }
    }
}

/// One value is by far the most common case and needs no allocation of its own.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Values {
    One(HeaderValue),
    /// Never empty, and never one alone, so that the derived equality is right.
    Many(Vec<HeaderValue>),
}

impl Values {
    pub(super) fn as_slice(&self) -> &[HeaderValue] {
        match self {
            Self::One(value) => slice::from_ref(value),
            Self::Many(values) => values,
        }
    }

    pub(super) fn push(&mut self, value: HeaderValue) {
        match self {
            Self::One(first) => {
                let first = mem::take(first);
                *self = Self::Many(vec![first, value]);
            }
            Self::Many(values) => values.push(value),
        }
    }
}

/// At least one header. The first has a place of its own: most messages have no more, and need no list.
#[derive(Clone)]
pub(super) struct Entries {
    first: Entry,
    rest: Vec<Entry>,
    /// The headers as they are written, where that is known; else empty, which lines of headers never are.
    ///
    /// Putting them together takes longer than everything else about publishing a small message, and a map is often
    /// published more than once. Where they are not known, as in a map that was received, or are too long to be kept,
    /// they are put together anew each time.
    lines: Vec<u8>,
}

impl Entries {
    /// Longer lines are not kept: keeping them up to date would take time that grows with the square of their number.
    const MOST: usize = 1024;

    /// One header that is going to be written.
    pub(super) fn new(first: Entry) -> Self {
        let mut entries = Self::received(first);
        entries.lines.reserve(64);
        entries.put_lines_anew();
        entries
    }

    /// One header that was received.
    pub(super) fn received(first: Entry) -> Self {
        Self { first, rest: Vec::new(), lines: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.rest.len().saturating_add(1)
    }

    pub(super) fn iter(&self) -> EntryIter<'_> {
        iter::once(&self.first).chain(&self.rest)
    }

    pub(super) fn find(&self, name: &HeaderName) -> Option<&Values> {
        self.iter().find(|entry| entry.name == *name).map(|entry| &entry.values)
    }

    /// Every line, if they are known.
    pub(super) fn lines(&self) -> Option<&[u8]> {
        (!self.lines.is_empty()).then_some(&self.lines)
    }

    /// Sets a header to one value.
    pub(super) fn set(&mut self, name: HeaderName, value: HeaderValue) {
        match self.values_mut(&name) {
            Some(values) => {
                *values = Values::One(value);
                self.put_lines();
            }
            None => self.push(Entry::new(name, value)),
        }
    }

    /// Adds a value to a header.
    pub(super) fn add(&mut self, name: HeaderName, value: HeaderValue) {
        match self.values_mut(&name) {
            Some(values) => {
                values.push(value);
                self.put_lines();
            }
            None => self.push(Entry::new(name, value)),
        }
    }

    /// Adds a header that is not there yet, of a message that was received.
    pub(super) fn push_received(&mut self, entry: Entry) {
        self.lines = Vec::new();
        self.rest.push(entry);
    }

    /// The values of the header at this position.
    pub(super) fn values_at(&mut self, position: usize) -> Option<&mut Values> {
        self.lines = Vec::new();
        let entry = match position.checked_sub(1) {
            None => &mut self.first,
            Some(position) => self.rest.get_mut(position)?,
        };
        Some(&mut entry.values)
    }

    /// The same without a header; `None` if nothing is left.
    pub(super) fn without(mut self, position: usize) -> Option<Self> {
        match position.checked_sub(1) {
            None if self.rest.is_empty() => return None,
            None => self.first = self.rest.remove(0),
            Some(position) if position < self.rest.len() => drop(self.rest.remove(position)),
            Some(_) => {}
        }
        self.put_lines();
        Some(self)
    }

    fn push(&mut self, entry: Entry) {
        if !self.lines.is_empty() {
            put(&mut self.lines, &entry);
            if self.lines.len() > Self::MOST {
                self.lines = Vec::new();
            }
        }
        self.rest.push(entry);
    }

    fn values_mut(&mut self, name: &HeaderName) -> Option<&mut Values> {
        let position = self.iter().position(|entry| entry.name == *name)?;
        match position.checked_sub(1) {
            None => Some(&mut self.first.values),
            Some(position) => self.rest.get_mut(position).map(|entry| &mut entry.values),
        }
    }

    /// Puts the lines together anew, unless they are too long, or were before.
    fn put_lines(&mut self) {
        if !self.lines.is_empty() {
            self.lines.clear();
            self.put_lines_anew();
        }
    }

    /// `lines` must be empty.
    fn put_lines_anew(&mut self) {
        let mut lines = mem::take(&mut self.lines);
        for entry in self.iter() {
            put(&mut lines, entry);
            if lines.len() > Self::MOST {
                return;
            }
        }
        self.lines = lines;
    }
}

fn put(lines: &mut Vec<u8>, entry: &Entry) {
    for value in entry.values.as_slice() {
        for piece in line(&entry.name, value) {
            lines.extend_from_slice(piece);
        }
    }
}

/// One header line, in pieces.
pub(super) fn line<'a>(name: &'a HeaderName, value: &'a HeaderValue) -> [&'a [u8]; 4] {
    [name.as_bytes(), b": ", value.as_bytes(), b"\r\n"]
}

pub(super) type EntryIter<'a> = Chain<Once<&'a Entry>, slice::Iter<'a, Entry>>;
