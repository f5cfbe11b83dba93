//! Builds maps of any number of headers.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::entries::{Entries, Entry};
use super::{HeaderMap, HeaderName, HeaderValue};

/// Builds a map from any number of lines: looking each name up in the map itself would take time that grows with
/// the square of their number, which the sender of a message could exploit.
#[derive(Default)]
pub(super) struct Builder {
    entries: Option<Entries>,
    /// Where the names are, once there are many. Ordered, since a hash without a secret seed could be exploited.
    index: BTreeMap<HeaderName, usize>,
}

impl Builder {
    /// Up to so many names are found faster by going through them.
    const FEW: usize = 16;

    pub(super) fn add(&mut self, name: HeaderName, value: HeaderValue) {
        let Some(entries) = &mut self.entries else {
            self.entries = Some(Entries::received(Entry::new(name, value)));
            return;
        };
        let many = entries.len() >= Self::FEW;
        if many && self.index.is_empty() {
            let names = entries.iter().map(|entry| entry.name.clone());
            self.index = names.zip(0..).collect();
        }
        let known = match many {
            true => self.index.get(&name).copied(),
            false => entries.iter().position(|entry| entry.name == name),
        };
        match known.and_then(|position| entries.values_at(position)) {
            Some(values) => values.push(value),
            None => {
                if many {
                    self.index.insert(name.clone(), entries.len());
                }
                entries.push_received(Entry::new(name, value));
            }
        }
    }

    pub(super) fn add_all(&mut self, headers: BTreeMap<HeaderName, Vec<HeaderValue>>) {
        for (name, values) in headers {
            for value in values {
                self.add(name.clone(), value);
            }
        }
    }

    pub(super) fn finish(self) -> HeaderMap {
        HeaderMap::from_entries(self.entries)
    }
}
