//! Names and numbers of links, checked where they enter.

use std::fmt;
use std::str::FromStr;

/// A name, alias or number that the kernel would not take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// Refused by `dev_valid_name` of the kernel.
    #[error("`{0}` is no interface name: 1 to 15 bytes without `/`, `:` or white space")]
    Interface(String),
    /// Not six hexadecimal pairs.
    #[error("`{0}` is no MAC address: expected six pairs as 02:00:0a:05:00:02")]
    Mac(String),
    /// Longer than the kernel stores.
    #[error("alias `{0}` is longer than 250 bytes or contains a control character")]
    Alias(String),
    /// More than 24 bits.
    #[error("{0} is no VXLAN network identifier: it has 24 bits")]
    Vni(u32),
}

/// The name of an interface: at most 15 bytes (`IFNAMSIZ` less its end), no `/`, `:`, white space.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IfName(Box<str>);

impl IfName {
    /// Longest name in bytes.
    pub const MAX: usize = 15;

    /// Checks `name` as the kernel will.
    ///
    /// # Errors
    /// [`BadName::Interface`] with the name.
    pub fn new(name: impl AsRef<str>) -> Result<Self, BadName> {
        let name = name.as_ref();
        let fits = (1..=Self::MAX).contains(&name.len()) && name != "." && name != "..";
        let odd = |c: char| c == '/' || c == ':' || c.is_whitespace() || c == '\0';
        if !fits || name.contains(odd) {
            return Err(BadName::Interface(name.to_owned()));
        }
        Ok(Self(name.into()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A name the kernel itself reported, which needs no check.
    pub(super) fn reported(name: String) -> Self {
        Self(name.into())
    }
}

impl FromStr for IfName {
    type Err = BadName;

    fn from_str(name: &str) -> Result<Self, BadName> {
        Self::new(name)
    }
}

impl fmt::Display for IfName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An Ethernet address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mac(pub [u8; 6]);

impl FromStr for Mac {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let bad = || BadName::Mac(text.to_owned());
        let mut bytes = [0; 6];
        let mut pairs = text.split(':');
        for byte in &mut bytes {
            let pair = pairs
                .next()
                .filter(|pair| pair.len() == 2)
                .ok_or_else(bad)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| bad())?;
        }
        pairs
            .next()
            .is_none()
            .then_some(Self(bytes))
            .ok_or_else(bad)
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// The alias every link of ours carries: `weft:` and what it is for. It survives restarts and moves
/// between namespaces, so that leftovers are recognised.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Alias(Box<str>);

impl Alias {
    /// What every alias of ours begins with.
    pub const PREFIX: &str = "weft:";

    /// The alias `weft:<purpose>`.
    ///
    /// # Errors
    /// [`BadName::Alias`] when it exceeds what the kernel stores (255 bytes).
    pub fn new(purpose: impl AsRef<str>) -> Result<Self, BadName> {
        let purpose = purpose.as_ref();
        if purpose.len() > 250 || purpose.contains(|c: char| c.is_control()) {
            return Err(BadName::Alias(purpose.to_owned()));
        }
        Ok(Self(format!("{}{purpose}", Self::PREFIX).into()))
    }

    /// The whole alias, prefix included.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Alias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// VXLAN network identifier: 24 bits (RFC 7348 s.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Vni(u32);

impl Vni {
    /// Checks that `id` has at most 24 bits.
    ///
    /// # Errors
    /// [`BadName::Vni`] with the number.
    pub fn new(id: u32) -> Result<Self, BadName> {
        if id < 1 << 24 {
            Ok(Self(id))
        } else {
            Err(BadName::Vni(id))
        }
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Vni {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interface_names_the_kernel_refuses_are_refused_here() {
        for bad in ["", ".", "..", "a/b", "a b", "a:b", "sixteen-bytes-xx"] {
            assert_eq!(IfName::new(bad), Err(BadName::Interface(bad.to_owned())));
        }
        assert!(IfName::new("fifteen-bytes-x").is_ok());
    }

    #[test]
    fn a_mac_reads_back_as_it_prints() {
        let mac = Mac([2, 0, 10, 5, 0, 255]);
        assert_eq!(mac.to_string(), "02:00:0a:05:00:ff");
        assert_eq!("02:00:0a:05:00:ff".parse(), Ok(mac));
        for bad in [
            "",
            "02:00",
            "2:0:a:5:0:2",
            "02:00:0a:05:00:ff:00",
            "02:00:0a:05:00:zz",
        ] {
            assert!(bad.parse::<Mac>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_vni_of_25_bits_is_refused() {
        assert!(Vni::new(0xff_ffff).is_ok());
        assert_eq!(Vni::new(0x100_0000), Err(BadName::Vni(0x100_0000)));
    }
}
