//! Headers in other formats than that of NATS.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;

use serde::de::MapAccess;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::builder::Builder;
use super::{HeaderMap, HeaderName, HeaderValue};

/// As a map from names to lists of values.
impl Serialize for HeaderMap {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

/// What some versions of `async-nats` have put around the headers. It is a good name for a header as well.
const WRAPPER: &str = "inner";

#[derive(Deserialize)]
#[serde(untagged)]
enum MapOrValues {
    Values(Vec<HeaderValue>),
    Map(BTreeMap<HeaderName, Vec<HeaderValue>>),
}

/// Reads what `Serialize` writes; in formats like JSON also what some versions of `async-nats` have written, with all
/// headers in a map of the name `inner`.
impl<'de> Deserialize<'de> for HeaderMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor {
            /// Whether the format tells a map from a list.
            wrapped: bool,
        }

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = HeaderMap;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map from header names to lists of values")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<HeaderMap, A::Error> {
                let mut builder = Builder::default();
                while let Some(name) = map.next_key::<HeaderName>()? {
                    let value = match (self.wrapped, name.as_str()) {
                        (true, WRAPPER) => map.next_value()?,
                        _ => MapOrValues::Values(map.next_value()?),
                    };
                    match value {
                        MapOrValues::Map(headers) => builder.add_all(headers),
                        MapOrValues::Values(values) => {
                            for value in values {
                                builder.add(name.clone(), value);
                            }
                        }
                    }
                }
                Ok(builder.finish())
            }
        }

        let wrapped = deserializer.is_human_readable();
        deserializer.deserialize_map(Visitor { wrapped })
    }
}
