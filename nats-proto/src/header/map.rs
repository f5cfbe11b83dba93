//! The map of headers.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::slice;

use super::builder::Builder;
use super::entries::{Entries, Entry, EntryIter, Values, line};
use super::{
    HeaderName, HeaderValue, IntoHeaderName, IntoHeaderValue, ParseHeaderNameError,
    ParseHeaderValueError, VERSION_LINE,
};

/// The headers of a message: names, each with one or more values (ADR-4).
///
/// The order of names is that of their first values; the case of names is kept and significant. Two maps are equal
/// if they have the same names, whatever their order, each with the same values in the same order.
///
/// Messages have few headers, so looking one up goes through all of them; a map is not made for thousands. Cloning a map
/// costs a reference count; whoever changes one of the clones gets a copy of its own then.
///
/// ```
/// use nats_proto::HeaderMap;
///
/// let mut headers = HeaderMap::new();
/// headers.insert("Content-Type", "text/plain");
/// headers.append("Via", "a");
/// headers.append("Via", "b");
///
/// assert_eq!(headers.get("Via").unwrap().as_str(), "a");
/// assert_eq!(headers.get_all("Via").count(), 2);
/// assert!(headers.get("via").is_none());
/// ```
#[derive(Clone, Default)]
pub struct HeaderMap {
    /// None, or at least one.
    entries: Option<Arc<Entries>>,
}

impl HeaderMap {
    /// A map without headers. Does not allocate.
    pub const fn new() -> Self {
        Self { entries: None }
    }

    /// Whether there are no headers.
    pub fn is_empty(&self) -> bool {
        self.entries.is_none()
    }

    /// The number of names, however many values they have.
    pub fn len(&self) -> usize {
        self.entries.as_ref().map_or(0, |entries| entries.len())
    }

    /// Sets a header to one value, in the place of those that it may have.
    ///
    /// # Panics
    /// Name or value are not allowed in a header. Use [`try_insert`](Self::try_insert) for names and values that
    /// are not part of the program.
    pub fn insert<K: IntoHeaderName, V: IntoHeaderValue>(&mut self, name: K, value: V) {
        self.set(name.into_header_name(), value.into_header_value());
    }

    /// Like [`insert`](Self::insert), but an error instead of a panic; nothing is changed then.
    ///
    /// # Errors
    /// Name or value are not allowed in a header.
    pub fn try_insert<K: IntoHeaderName, V: IntoHeaderValue>(
        &mut self,
        name: K,
        value: V,
    ) -> Result<(), HeaderError> {
        self.set(name.try_into_header_name()?, value.try_into_header_value()?);
        Ok(())
    }

    /// Adds a value to those that a header has.
    ///
    /// # Panics
    /// Name or value are not allowed in a header. Use [`try_append`](Self::try_append) for names and values that
    /// are not part of the program.
    pub fn append<K: IntoHeaderName, V: IntoHeaderValue>(&mut self, name: K, value: V) {
        self.add(name.into_header_name(), value.into_header_value());
    }

    /// Like [`append`](Self::append), but an error instead of a panic; nothing is changed then.
    ///
    /// # Errors
    /// Name or value are not allowed in a header.
    pub fn try_append<K: IntoHeaderName, V: IntoHeaderValue>(
        &mut self,
        name: K,
        value: V,
    ) -> Result<(), HeaderError> {
        self.add(name.try_into_header_name()?, value.try_into_header_value()?);
        Ok(())
    }

    /// Removes a header with all its values. Says whether there was one.
    pub fn remove<K: IntoHeaderName>(&mut self, name: K) -> bool {
        let position = name
            .try_into_header_name()
            .ok()
            .and_then(|name| self.iter().position(|(known, _)| *known == name));
        if let Some(position) = position {
            let entries = self.entries.take().map(Arc::unwrap_or_clone);
            self.entries = entries.and_then(|entries| entries.without(position)).map(Arc::new);
        }
        position.is_some()
    }

    /// The first value of a header.
    pub fn get<K: IntoHeaderName>(&self, name: K) -> Option<&HeaderValue> {
        self.values(name).first()
    }

    /// The last value of a header.
    pub fn get_last<K: IntoHeaderName>(&self, name: K) -> Option<&HeaderValue> {
        self.values(name).last()
    }

    /// All values of a header, in order; none if there is no such header.
    pub fn get_all<K: IntoHeaderName>(&self, name: K) -> GetAll<'_, HeaderValue> {
        GetAll(self.values(name).iter())
    }

    /// All headers in order, each with its values, of which there is at least one.
    pub fn iter(&self) -> Iter<'_> {
        Iter(self.entries.as_ref().map(|entries| entries.iter()))
    }

    /// Length of the encoded block, with `NATS/1.0` line and the final blank line; zero if empty.
    pub fn encoded_len(&self) -> usize {
        let Some(entries) = &self.entries else {
            return 0;
        };
        const EMPTY_BLOCK: usize = VERSION_LINE.len() + "\r\n".len();
        let lines = match entries.lines() {
            Some(lines) => lines.len(),
            None => self.lines_len(),
        };
        lines.saturating_add(EMPTY_BLOCK)
    }

    /// Appends the encoded block; nothing if there are no headers. Each value is a line of its own.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.reserve(self.encoded_len());
        self.encode_with(|piece| out.extend_from_slice(piece));
    }

    /// Gives `put` the encoded block in pieces.
    pub(crate) fn encode_with(&self, mut put: impl FnMut(&[u8])) {
        if self.is_empty() {
            return;
        }
        put(VERSION_LINE);
        self.encode_lines(&mut put);
        put(b"\r\n");
    }

    pub(super) fn encode_lines(&self, put: &mut impl FnMut(&[u8])) {
        match self.entries.as_ref().and_then(|entries| entries.lines()) {
            Some(lines) => put(lines),
            None => self.encode_each_line(put),
        }
    }

    // Apart from the short way, of lines that are known, which is then part of what publishes them.
    #[inline(never)]
    fn encode_each_line(&self, put: &mut impl FnMut(&[u8])) {
        self.lines().flatten().for_each(put);
    }

    #[inline(never)]
    fn lines_len(&self) -> usize {
        self.lines().flatten().fold(0, |len, piece| len.saturating_add(piece.len()))
    }

    /// Each line in pieces.
    fn lines(&self) -> impl Iterator<Item = [&[u8]; 4]> {
        self.iter().flat_map(|(name, values)| values.iter().map(move |value| line(name, value)))
    }

    pub(super) fn from_entries(entries: Option<Arc<Entries>>) -> Self {
        Self { entries }
    }

    /// What is no name is no header's name, so that looking up never panics.
    fn values<K: IntoHeaderName>(&self, name: K) -> &[HeaderValue] {
        let Ok(name) = name.try_into_header_name() else {
            return &[];
        };
        let entries = self.entries.as_ref();
        entries.and_then(|entries| entries.find(&name)).map_or(&[], Values::as_slice)
    }

    fn sorted(&self) -> BTreeMap<&HeaderName, &[HeaderValue]> {
        self.iter().collect()
    }

    fn set(&mut self, name: HeaderName, value: HeaderValue) {
        match &mut self.entries {
            Some(entries) => Arc::make_mut(entries).set(name, value),
            None => self.entries = Some(Arc::new(Entries::new(Entry::new(name, value)))),
        }
    }

    fn add(&mut self, name: HeaderName, value: HeaderValue) {
        match &mut self.entries {
            Some(entries) => Arc::make_mut(entries).add(name, value),
            None => self.set(name, value),
        }
    }
}

impl PartialEq for HeaderMap {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && (self.iter().eq(other) || self.sorted() == other.sorted())
    }
}

impl Eq for HeaderMap {}

impl fmt::Debug for HeaderMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<'a> IntoIterator for &'a HeaderMap {
    type Item = (&'a HeaderName, &'a [HeaderValue]);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl FromIterator<(HeaderName, HeaderValue)> for HeaderMap {
    /// Repeated names collect their values, as by [`append`](Self::append).
    fn from_iter<T: IntoIterator<Item = (HeaderName, HeaderValue)>>(headers: T) -> Self {
        let mut builder = Builder::default();
        for (name, value) in headers {
            builder.add(name, value);
        }
        builder.finish()
    }
}

/// The values of one header. See [`HeaderMap::get_all`].
#[derive(Clone, Debug)]
pub struct GetAll<'a, T>(slice::Iter<'a, T>);

impl<'a, T> Iterator for GetAll<'a, T> {
    type Item = &'a T;

    fn next(&mut self) -> Option<&'a T> {
        self.0.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl<T> ExactSizeIterator for GetAll<'_, T> {}

/// All headers of a map. See [`HeaderMap::iter`].
#[derive(Clone)]
pub struct Iter<'a>(Option<EntryIter<'a>>);

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a HeaderName, &'a [HeaderValue]);

    fn next(&mut self) -> Option<Self::Item> {
        let entry = self.0.as_mut()?.next()?;
        Some((&entry.name, entry.values.as_slice()))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.as_ref().map_or((0, Some(0)), |entries| entries.size_hint())
    }
}

impl ExactSizeIterator for Iter<'_> {}

impl fmt::Debug for Iter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.clone()).finish()
    }
}

/// Why a header cannot be set.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeaderError {
    /// The name is not allowed.
    Name(ParseHeaderNameError),
    /// The value is not allowed.
    Value(ParseHeaderValueError),
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(error) => fmt::Display::fmt(error, f),
            Self::Value(error) => fmt::Display::fmt(error, f),
        }
    }
}

impl core::error::Error for HeaderError {}

impl From<ParseHeaderNameError> for HeaderError {
    fn from(error: ParseHeaderNameError) -> Self {
        Self::Name(error)
    }
}

impl From<ParseHeaderValueError> for HeaderError {
    fn from(error: ParseHeaderValueError) -> Self {
        Self::Value(error)
    }
}
