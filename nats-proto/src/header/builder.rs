//! Builds maps of any number of headers.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::entries::{Entries, Entry};
use super::{HeaderMap, HeaderName, HeaderValue};
use crate::wire::Sharer;

/// Builds a map from any number of lines: looking each name up in the map itself would take time that grows with
/// the square of their number, which the sender of a message could exploit.
#[derive(Default)]
pub(super) struct Builder {
    /// In their place from the first on: they are large, and moving them would take as long as reading a line.
    entries: Option<Arc<Entries>>,
    /// Where the names are, once there are many. Ordered, since a hash without a secret seed could be exploited.
    index: Option<BTreeMap<HeaderName, usize>>,
}

impl Builder {
    /// Up to so many names are found faster by going through them.
    const FEW: usize = 16;

    pub(super) fn add(&mut self, name: HeaderName, value: HeaderValue) {
        let Some(entries) = &mut self.entries else {
            self.entries = Some(Arc::new(Entries::received(Entry::new(name, value))));
            return;
        };
        // Nobody else has them yet, so that nothing is cloned.
        let entries = Arc::make_mut(entries);
        let known = match entries.len() {
            few if few < Self::FEW => entries.iter().position(|entry| entry.name == name),
            many => {
                let names = entries.iter().map(|entry| entry.name.clone());
                let index = self.index.get_or_insert_with(|| names.zip(0..).collect());
                let known = index.get(&name).copied();
                if known.is_none() {
                    index.insert(name.clone(), many);
                }
                known
            }
        };
        match known.and_then(|position| entries.values_at(position)) {
            Some(values) => values.push(value),
            None => entries.push_received(Entry::new(name, value)),
        }
    }

    /// Adds a line of a block, as [`HeaderName::from_block`] and [`HeaderValue::from_block`] take it.
    #[inline(always)]
    pub(super) fn add_part(&mut self, name: &[u8], value: &[u8], sharer: &mut Sharer<'_>) {
        // One short header is all that most messages have. It is put together in one piece: to wait for texts that may
        // come from elsewhere means to write them down and read them again, in other pieces, which is slow.
        if self.entries.is_none()
            && let (Some(name), Some(value)) = (sharer.short(name), sharer.short(value))
        {
            let first = Entry::new(HeaderName::from_short(name), HeaderValue::from_short(value));
            self.entries = Some(Arc::new(Entries::received(first)));
            return;
        }
        self.add(HeaderName::from_block(name, sharer), HeaderValue::from_block(value, sharer));
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
