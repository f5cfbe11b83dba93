//! The map of headers.

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::slice;

use super::{
    HeaderName, HeaderValue, IntoHeaderName, IntoHeaderValue, ParseHeaderNameError,
    ParseHeaderValueError, VERSION,
};

/// The headers of a message: names, each with one or more values (ADR-4).
///
/// The order of names is that of their first values; the case of names is kept and significant. Two maps are equal
/// if they have the same names, whatever their order, each with the same values in the same order.
///
/// Messages have few headers, so looking one up goes through all of them; a map is not made for thousands.
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
    entries: Vec<(HeaderName, Values)>,
}

/// One value is by far the most common case and needs no allocation of its own.
#[derive(Clone, PartialEq, Eq)]
enum Values {
    One(HeaderValue),
    /// Never empty, and never one alone, so that the derived equality is right.
    Many(Vec<HeaderValue>),
}

impl Values {
    fn as_slice(&self) -> &[HeaderValue] {
        match self {
            Self::One(value) => slice::from_ref(value),
            Self::Many(values) => values,
        }
    }

    fn push(&mut self, value: HeaderValue) {
        match self {
            Self::One(first) => {
                let first = core::mem::take(first);
                *self = Self::Many(vec![first, value]);
            }
            Self::Many(values) => values.push(value),
        }
    }
}

impl HeaderMap {
    /// A map without headers. Does not allocate.
    pub const fn new() -> Self {
        Self { entries: Vec::new() }
    }

    /// Whether there are no headers.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The number of names, however many values they have.
    pub fn len(&self) -> usize {
        self.entries.len()
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
            .and_then(|name| self.entries.iter().position(|(known, _)| *known == name));
        if let Some(position) = position {
            self.entries.remove(position);
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
        Iter(self.entries.iter())
    }

    /// Length of the encoded block, with `NATS/1.0` line and the final blank line; zero if empty.
    pub fn encoded_len(&self) -> usize {
        if self.is_empty() {
            return 0;
        }
        const EMPTY_BLOCK: usize = VERSION.len() + "\r\n\r\n".len();
        self.lines().fold(EMPTY_BLOCK, |len, (name, value)| {
            len.saturating_add(name.as_bytes().len())
                .saturating_add(value.as_bytes().len())
                .saturating_add(": \r\n".len())
        })
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
        put(VERSION.as_bytes());
        put(b"\r\n");
        self.encode_lines(&mut put);
        put(b"\r\n");
    }

    pub(super) fn encode_lines(&self, put: &mut impl FnMut(&[u8])) {
        for (name, value) in self.lines() {
            put(name.as_bytes());
            put(b": ");
            put(value.as_bytes());
            put(b"\r\n");
        }
    }

    fn lines(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        self.iter().flat_map(|(name, values)| values.iter().map(move |value| (name, value)))
    }

    /// What is no name is no header's name, so that looking up never panics.
    fn values<K: IntoHeaderName>(&self, name: K) -> &[HeaderValue] {
        let Ok(name) = name.try_into_header_name() else {
            return &[];
        };
        self.entries
            .iter()
            .find(|(known, _)| *known == name)
            .map_or(&[], |(_, values)| values.as_slice())
    }

    fn sorted(&self) -> BTreeMap<&HeaderName, &Values> {
        self.entries.iter().map(|(name, values)| (name, values)).collect()
    }

    fn values_mut(&mut self, name: &HeaderName) -> Option<&mut Values> {
        self.entries.iter_mut().find(|(known, _)| known == name).map(|(_, values)| values)
    }

    fn set(&mut self, name: HeaderName, value: HeaderValue) {
        match self.values_mut(&name) {
            Some(values) => *values = Values::One(value),
            None => self.entries.push((name, Values::One(value))),
        }
    }

    fn add(&mut self, name: HeaderName, value: HeaderValue) {
        match self.values_mut(&name) {
            Some(values) => values.push(value),
            None => self.entries.push((name, Values::One(value))),
        }
    }
}

impl PartialEq for HeaderMap {
    fn eq(&self, other: &Self) -> bool {
        if self.entries.len() != other.entries.len() {
            return false;
        }
        self.entries == other.entries || self.sorted() == other.sorted()
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

/// Builds a map from any number of lines: looking each name up in the map itself would take time that grows with
/// the square of their number, which the sender of a message could exploit.
#[derive(Default)]
pub(super) struct Builder {
    map: HeaderMap,
    /// Where the names are, once there are many. Ordered, since a hash without a secret seed could be exploited.
    index: BTreeMap<HeaderName, usize>,
}

impl Builder {
    /// Up to so many names are found faster by going through them.
    const FEW: usize = 16;

    pub(super) fn add(&mut self, name: HeaderName, value: HeaderValue) {
        let position = self.map.len();
        if position < Self::FEW {
            return self.map.add(name, value);
        }
        if self.index.is_empty() {
            let names = self.map.entries.iter().map(|(name, _)| name.clone());
            self.index = names.zip(0..).collect();
        }
        let known = self.index.get(&name).and_then(|known| self.map.entries.get_mut(*known));
        match known {
            Some((_, values)) => values.push(value),
            None => {
                self.index.insert(name.clone(), position);
                self.map.entries.push((name, Values::One(value)));
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
        self.map
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
pub struct Iter<'a>(slice::Iter<'a, (HeaderName, Values)>);

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a HeaderName, &'a [HeaderValue]);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|(name, values)| (name, values.as_slice()))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
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
