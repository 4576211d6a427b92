//! What a server shows to a network without a lock: said at its start, because nobody reads a log later.

use std::net::SocketAddr;

/// What stands open where.
#[derive(Clone, Copy, Debug)]
pub struct Doors {
    /// Where the public door is.
    pub public: Door,
    /// Whether joining needs a token.
    pub tokens_required: bool,
    /// Where the admin door is.
    pub admin: Option<Door>,
    /// Whether that asks for a key or a certificate.
    pub admin_asks: bool,
}

/// Where a door is and what is spoken there.
#[derive(Clone, Copy, Debug)]
pub struct Door {
    /// Its address.
    pub address: SocketAddr,
    /// Whether it speaks TLS.
    pub tls: bool,
}

impl Door {
    fn is_on_loopback(&self) -> bool {
        self.address.ip().to_canonical().is_loopback()
    }
}

/// A line for each thing that whoever runs the server should have decided.
pub fn warnings(doors: &Doors) -> Vec<String> {
    let mut warnings = Vec::new();
    let Doors { public, tokens_required, admin, admin_asks } = doors;
    if !public.is_on_loopback() {
        let address = public.address;
        match (public.tls, tokens_required) {
            (false, false) => warnings.push(format!(
                "the public door on {address} has neither TLS nor tokens: whoever reaches it may join, and whoever is on the \
                 way can read and change what is negotiated; see --tls-cert and --token-keys-file"
            )),
            (false, true) => warnings.push(format!(
                "the public door on {address} has no TLS: tokens and what is negotiated can be read on the way; see --tls-cert"
            )),
            (true, false) => warnings.push(format!(
                "the public door on {address} asks for no token: whoever reaches it may join; see --token-keys-file"
            )),
            (true, true) => {}
        }
    }
    if let Some(admin) = admin.filter(|admin| !admin.is_on_loopback()) {
        let address = admin.address;
        if !admin_asks {
            warnings.push(format!(
                "the admin door on {address} is open: whoever reaches it sees every room and may remove peers; see \
                 --admin-keys-file"
            ));
        } else if !admin.tls {
            warnings.push(format!(
                "the admin door on {address} has no TLS: keys of operators can be read on the way; see --tls-cert"
            ));
        }
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_open_to_a_network_is_named_and_nothing_else() {
        let door = |address: &str, tls| Door { address: address.parse().unwrap(), tls };
        let told = |public, tokens_required, admin, admin_asks| {
            warnings(&Doors { public, tokens_required, admin, admin_asks }).join("|")
        };
        let (here, there) = ("127.0.0.1:1", "0.0.0.0:1");
        assert_eq!(told(door(here, false), false, Some(door(here, false)), false), "");
        assert_eq!(told(door("[::ffff:127.0.0.1]:1", false), false, None, false), "");
        assert_eq!(told(door(there, true), true, Some(door(there, true)), true), "");
        let open = told(door(there, false), false, None, false);
        assert!(open.contains("neither TLS nor tokens") && open.contains("0.0.0.0:1"), "{open}");
        assert!(told(door("[::]:1", false), true, None, false).contains("has no TLS"));
        assert!(told(door("192.0.2.1:1", true), false, None, false).contains("asks for no token"));
        assert!(
            told(door(here, false), false, Some(door(there, true)), false)
                .contains("admin door on 0.0.0.0:1 is open")
        );
        assert!(
            told(door(here, false), false, Some(door(there, false)), true)
                .contains("keys of operators can be read")
        );
    }
}
