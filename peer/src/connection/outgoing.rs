//! What of our own descriptions and candidates leaves this host: not the address that a relayed or reflexive candidate is
//! related to. It is this host's own, which a relay is there to hide, and nobody needs it (RFC 8839 section 5.1).

use std::net::Ipv6Addr;

/// Where the connection address is in a candidate attribute, and where what is optional begins.
const ADDRESS: usize = 4;
const EXTENSIONS: usize = 8;

/// A candidate attribute, with or without `a=`, that names nothing in place of its related address.
pub(super) fn without_related_address(candidate: &str) -> String {
    let mut fields: Vec<&str> = candidate.split(' ').collect();
    let is_v6 = fields.get(ADDRESS).is_some_and(|address| address.parse::<Ipv6Addr>().is_ok());
    for name in EXTENSIONS..fields.len().saturating_sub(1) {
        match fields[name] {
            "raddr" => fields[name + 1] = if is_v6 { "::" } else { "0.0.0.0" },
            "rport" => fields[name + 1] = "9",
            _ => {}
        }
    }
    fields.join(" ")
}

/// A description whose candidates are so.
pub(super) fn without_related_addresses(sdp: &str) -> String {
    let lines = sdp.split("\r\n").map(|line| match line.starts_with("a=candidate:") {
        true => without_related_address(line),
        false => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_related_address_is_not_told_and_nothing_else_changes() {
        for (ours, told) in [
            ("", ""),
            (
                "candidate:1 1 udp 2130706431 192.168.1.7 50418 typ host",
                "candidate:1 1 udp 2130706431 192.168.1.7 50418 typ host",
            ),
            (
                "candidate:1 1 udp 1 11.0.0.9 50000 typ relay raddr 192.168.1.7 rport 50418",
                "candidate:1 1 udp 1 11.0.0.9 50000 typ relay raddr 0.0.0.0 rport 9",
            ),
            (
                "candidate:1 1 udp 1 2a00::9 50000 typ srflx raddr fd00::7 rport 50418 generation 0",
                "candidate:1 1 udp 1 2a00::9 50000 typ srflx raddr :: rport 9 generation 0",
            ),
            (
                "candidate:1 1 udp 1 11.0.0.9 50000 typ relay raddr",
                "candidate:1 1 udp 1 11.0.0.9 50000 typ relay raddr",
            ),
        ] {
            assert_eq!(without_related_address(ours), told);
            let described = |candidate: &str| format!("v=0\r\na={candidate}\r\na=raddr 10.0.0.1 rport 1\r\n");
            assert_eq!(without_related_addresses(&described(ours)), described(told));
        }
    }
}
