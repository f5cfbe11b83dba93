//! What can be given as the address of a server, or of several.

use std::{io, option, vec};

use crate::server_addr::ServerAddr;

/// What names one or more servers: a URL, an address, or a list of either.
pub trait ToServerAddrs {
    /// The addresses one after the other.
    type Iter: Iterator<Item = ServerAddr>;

    /// Parses the addresses.
    ///
    /// # Errors
    ///
    /// One of them is not an address; the text says which and why.
    fn to_server_addrs(&self) -> io::Result<Self::Iter>;
}

/// What names one server, and so may be an element of a list: an address, and everything that is a text.
pub trait AsServerAddr {
    /// Parses the address.
    ///
    /// # Errors
    ///
    /// It is not one; the text says why.
    fn as_server_addr(&self) -> io::Result<ServerAddr>;
}

impl AsServerAddr for ServerAddr {
    fn as_server_addr(&self) -> io::Result<ServerAddr> {
        Ok(self.clone())
    }
}

impl AsServerAddr for &ServerAddr {
    fn as_server_addr(&self) -> io::Result<ServerAddr> {
        Ok((*self).clone())
    }
}

impl<T: AsRef<str> + ?Sized> AsServerAddr for T {
    fn as_server_addr(&self) -> io::Result<ServerAddr> {
        self.as_ref().parse()
    }
}

macro_rules! single {
    ($($one:ty),*) => {$(
        impl ToServerAddrs for $one {
            type Iter = option::IntoIter<ServerAddr>;

            fn to_server_addrs(&self) -> io::Result<Self::Iter> {
                Ok(Some(self.as_server_addr()?).into_iter())
            }
        }
    )*};
}

single!(ServerAddr, str, String);

impl<T: AsServerAddr> ToServerAddrs for [T] {
    type Iter = vec::IntoIter<ServerAddr>;

    fn to_server_addrs(&self) -> io::Result<Self::Iter> {
        let addrs: io::Result<Vec<_>> = self.iter().map(T::as_server_addr).collect();
        Ok(addrs?.into_iter())
    }
}

impl<T: AsServerAddr, const N: usize> ToServerAddrs for [T; N] {
    type Iter = vec::IntoIter<ServerAddr>;

    fn to_server_addrs(&self) -> io::Result<Self::Iter> {
        self.as_slice().to_server_addrs()
    }
}

impl<T: AsServerAddr> ToServerAddrs for Vec<T> {
    type Iter = vec::IntoIter<ServerAddr>;

    fn to_server_addrs(&self) -> io::Result<Self::Iter> {
        self.as_slice().to_server_addrs()
    }
}

impl<T: ToServerAddrs + ?Sized> ToServerAddrs for &T {
    type Iter = T::Iter;

    fn to_server_addrs(&self) -> io::Result<Self::Iter> {
        (**self).to_server_addrs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports(addrs: impl ToServerAddrs) -> Vec<u16> {
        let addrs = addrs.to_server_addrs().expect("valid addresses");
        addrs.map(|addr| addr.port()).collect()
    }

    #[test]
    fn urls_addresses_and_lists_of_both_name_servers() {
        let addr: ServerAddr = "nats://a:1".parse().expect("a valid address");
        assert_eq!(ports("a:1"), [1]);
        assert_eq!(ports(String::from("nats://a:1")), [1]);
        assert_eq!(ports(&addr), [1]);
        assert_eq!(ports(vec!["a:1", "b:2"]), [1, 2]);
        assert_eq!(ports(["a:1", "b:2"]), [1, 2]);
        assert_eq!(ports(&[String::from("a:1")][..]), [1]);
        assert_eq!(ports(vec![addr.clone(), addr]), [1, 1]);
    }

    #[test]
    fn one_bad_address_spoils_the_list() {
        let error = ["a:1", "b:not-a-port"].to_server_addrs().err();
        assert_eq!(error.map(|error| error.kind()), Some(io::ErrorKind::InvalidInput));
    }
}
