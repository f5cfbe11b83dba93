//! Why TLS failed, and what the reader may look at.

use std::io;

use nats_proto::connection::DisconnectReason;
use rustls::{AlertDescription, CertificateError, Error};

/// Why a handshake failed for which `beginning` came first.
pub(super) fn failure(error: &io::Error, beginning: &[u8]) -> String {
    match of_rustls(error) {
        Some(error @ Error::InvalidMessage(_)) => match line(beginning) {
            // A server that has too many connections, for one, says so right behind its INFO. So may anybody on the way:
            // it is shown, and nothing else.
            Some(line) => format!(
                "what came is not TLS but the plain text {line:?}: the server may refuse the connection, or not offer \
                 TLS, or with tls_first not from the beginning"
            ),
            None => told(error),
        },
        Some(error) => told(error),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            "the server closed the stream: see its log for the reason".to_owned()
        }
        None => error.to_string(),
    }
}

/// Why a stream ended with this error.
pub(crate) fn lost(error: &io::Error) -> DisconnectReason {
    match of_rustls(error) {
        Some(error) => DisconnectReason::Tls(told(error)),
        // The peer closed without saying goodbye, as a server that is killed does. NATS tells by itself what is whole.
        None if error.kind() == io::ErrorKind::UnexpectedEof => DisconnectReason::Eof,
        None => DisconnectReason::Io(error.to_string()),
    }
}

/// The first line of what came, if it is text: no record of TLS begins with a letter or a sign.
fn line(bytes: &[u8]) -> Option<String> {
    bytes.first().filter(|first| first.is_ascii_graphic())?;
    let line = bytes.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
    Some(String::from_utf8_lossy(line).into_owned())
}

fn of_rustls(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

fn told(error: &Error) -> String {
    match advice(error) {
        Some(advice) => format!("{error}; {advice}"),
        None => error.to_string(),
    }
}

fn advice(error: &Error) -> Option<&'static str> {
    use CertificateError as Certificate;
    Some(match error {
        Error::InvalidCertificate(error) => match error {
            Certificate::UnknownIssuer => {
                "nobody who is trusted has issued the server's certificate: give its authority's with \
                 add_root_certificates"
            }
            Certificate::Expired | Certificate::ExpiredContext { .. } => {
                "the server's certificate must be renewed, unless the clock of this machine is wrong"
            }
            Certificate::NotValidYet | Certificate::NotValidYetContext { .. } => {
                "check the clock of this machine"
            }
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => {
                "use a host name in the server's address that its certificate is for"
            }
            // The error is webpki's, which is no dependency of this crate: only its text can be looked at.
            Certificate::Other(error) if format!("{error:?}").contains("CaUsedAsEndEntity") => {
                "the server shows an authority's certificate, as `openssl req -x509` makes it: give the server one \
                 of its own, with basicConstraints=CA:FALSE"
            }
            _ => return None,
        },
        Error::InvalidMessage(_) => {
            "what came is not TLS: the server may not offer it, or with tls_first not from the beginning"
        }
        Error::AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::NoCertificate
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied,
        ) => {
            "the server wants a client certificate that it trusts: give one with add_client_certificate"
        }
        // Before TLS 1.3 there was no other word for a certificate that is missing.
        Error::AlertReceived(AlertDescription::HandshakeFailure) => {
            "the server and this client have no version or cipher of TLS in common, or the server wants a client \
             certificate: give one with add_client_certificate"
        }
        Error::PeerIncompatible(_)
        | Error::AlertReceived(
            AlertDescription::ProtocolVersion | AlertDescription::InsufficientSecurity,
        ) => "the server and this client have no version or cipher of TLS in common",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_that_is_missing_is_thought_of_for_every_version_of_tls() {
        for alert in [AlertDescription::CertificateRequired, AlertDescription::HandshakeFailure] {
            let error = io::Error::new(io::ErrorKind::InvalidData, Error::AlertReceived(alert));
            let text = lost(&error).to_string();
            assert!(text.contains("add_client_certificate"), "{text}");
        }
    }
}
