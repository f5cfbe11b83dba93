//! Errors: one type, generic over small enums of kinds.

use std::fmt::{self, Debug, Display};

/// Any error, as the source of another.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// An error of one operation: what kind it is of, and what caused it.
///
/// The kind is for matching. Where the protocol core refused something, the source is its own typed error
/// (for example [`nats_proto::connection::PublishError`]), to be had by downcasting.
#[derive(Debug)]
pub struct Error<Kind>
where
    Kind: Clone + Debug + Display + PartialEq,
{
    kind: Kind,
    source: Option<BoxError>,
}

impl<Kind> Error<Kind>
where
    Kind: Clone + Debug + Display + PartialEq,
{
    /// An error without a cause.
    pub fn new(kind: Kind) -> Self {
        Self { kind, source: None }
    }

    /// An error with its cause.
    pub fn with_source<S>(kind: Kind, source: S) -> Self
    where
        S: Into<BoxError>,
    {
        Self { kind, source: Some(source.into()) }
    }

    /// An error with its cause, whose text does not know what this one does.
    pub(crate) fn worded<S>(kind: Kind, text: String, source: S) -> Self
    where
        S: Into<BoxError>,
    {
        Self::with_source(kind, Worded { text, cause: source.into() })
    }

    /// What kind of error it is.
    pub fn kind(&self) -> Kind {
        self.kind.clone()
    }

    /// The same cause, as an error of another operation.
    pub(crate) fn of_kind<Other>(self, kind: Other) -> Error<Other>
    where
        Other: Clone + Debug + Display + PartialEq,
    {
        Error { kind, source: self.source }
    }
}

/// A cause with another text. Nobody outside sees it: the source of an error is the cause itself.
#[derive(Debug)]
struct Worded {
    text: String,
    cause: BoxError,
}

impl Display for Worded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Worded {}

impl<Kind> Display for Error<Kind>
where
    Kind: Clone + Debug + Display + PartialEq,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Some(source) => write!(f, "{}: {source}", self.kind),
            None => write!(f, "{}", self.kind),
        }
    }
}

impl<Kind> std::error::Error for Error<Kind>
where
    Kind: Clone + Debug + Display + PartialEq,
{
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let source = self.source.as_deref()?;
        Some(match source.downcast_ref::<Worded>() {
            Some(worded) => worded.cause.as_ref(),
            None => source,
        })
    }
}

impl<Kind> From<Kind> for Error<Kind>
where
    Kind: Clone + Debug + Display + PartialEq,
{
    fn from(kind: Kind) -> Self {
        Self::new(kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::PublishErrorKind;
    use std::error::Error as _;

    #[test]
    fn the_text_names_the_kind_and_then_the_cause() {
        let bare = Error::new(PublishErrorKind::Send);
        assert_eq!(bare.to_string(), PublishErrorKind::Send.to_string());
        let caused = Error::with_source(PublishErrorKind::Send, "closed");
        assert_eq!(caused.to_string(), format!("{}: closed", PublishErrorKind::Send));
    }

    #[test]
    fn the_cause_can_be_downcast() {
        let cause = nats_proto::connection::PublishError::Closed;
        let error = Error::with_source(PublishErrorKind::Send, cause.clone());
        let source = error.source().and_then(|source| source.downcast_ref());
        assert_eq!(source, Some(&cause));
        let error =
            Error::worded(PublishErrorKind::Send, "closed at noon".to_owned(), cause.clone());
        assert_eq!(error.to_string(), format!("{}: closed at noon", PublishErrorKind::Send));
        let source = error.source().and_then(|source| source.downcast_ref());
        assert_eq!(source, Some(&cause));
    }
}
