//! What a certificate says of itself: for whom it is, and how long.

use std::{fmt, net::IpAddr, path::Path, time::SystemTime};

use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// Names that are told; a certificate may have hundreds.
const NAMES_TOLD_MAX: usize = 3;
/// An operator is told that long before it ends.
const ENDS_SOON_S: i64 = 7 * 24 * 60 * 60;

/// A door's own certificate.
pub struct Leaf {
    names: Vec<String>,
    not_before_s: i64,
    not_after_s: i64,
    last_day: String,
    is_authority: bool,
}

/// Reads it.
pub fn describe(der: &CertificateDer<'_>) -> Result<Leaf, String> {
    let (_, certificate) =
        X509Certificate::from_der(der).map_err(|error| format!("it is no X.509 certificate: {error}"))?;
    let names = match certificate.subject_alternative_name() {
        Ok(Some(names)) => names.value.general_names.iter().filter_map(name).collect(),
        Ok(None) | Err(_) => Vec::new(),
    };
    let validity = certificate.validity();
    let last_day = validity.not_after.to_datetime().date().to_string();
    let (not_before_s, not_after_s) = (validity.not_before.timestamp(), validity.not_after.timestamp());
    let is_authority = certificate.is_ca();
    Ok(Leaf { names, not_before_s, not_after_s, last_day, is_authority })
}

/// Who a client's certificate says it is: its common name, or else its fingerprint. For the log.
pub fn name_of(der: &CertificateDer<'_>) -> String {
    let parsed = X509Certificate::from_der(der).ok();
    let common_name = parsed.as_ref().and_then(|(_, certificate)| {
        certificate.subject().iter_common_name().next()?.as_str().ok().map(str::to_owned)
    });
    match common_name.filter(|name| !name.is_empty() && name.len() <= 64) {
        Some(name) => name.escape_debug().to_string(),
        None => Sha256::digest(der).iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(name.escape_debug().to_string()),
        GeneralName::IPAddress(bytes) => {
            let address = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            address.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from)).ok().map(|ip| ip.to_string())
        }
        _ => None,
    }
}

impl Leaf {
    /// When it expires, in seconds since 1970.
    pub fn not_after_s(&self) -> i64 {
        self.not_after_s
    }

    /// What an operator should know.
    pub fn warnings(&self, path: &Path) -> Vec<String> {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.warnings_at(path, i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX))
    }

    fn warnings_at(&self, path: &Path, now_s: i64) -> Vec<String> {
        let told = |what: String| format!("--tls-cert: {}: {what}", path.display());
        let mut warnings = Vec::new();
        if self.not_after_s < now_s {
            warnings
                .push(told(format!("the certificate has expired ({}): clients refuse it", self.last_day)));
        } else if self.not_after_s < now_s + ENDS_SOON_S {
            warnings.push(told(format!("the certificate expires on {}", self.last_day)));
        }
        if self.not_before_s > now_s {
            warnings.push(told("the certificate is not valid yet, or this clock is wrong".to_owned()));
        }
        if self.names.is_empty() {
            warnings.push(told("the certificate names no host: clients refuse it".to_owned()));
        }
        if self.is_authority {
            let told_how = "the certificate is an authority's: clients refuse it; make one with CA:FALSE";
            warnings.push(told(told_how.to_owned()));
        }
        warnings
    }
}

impl fmt::Display for Leaf {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = &self.names[..self.names.len().min(NAMES_TOLD_MAX)];
        write!(formatter, "for {}", told.join(", "))?;
        if self.names.len() > told.len() {
            write!(formatter, " and {} more", self.names.len() - told.len())?;
        }
        write!(formatter, ", until {}", self.last_day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_S: i64 = 24 * 60 * 60;

    #[test]
    fn an_operator_is_warned_of_what_clients_will_refuse() {
        let leaf = |names: &[&str]| Leaf {
            names: names.iter().map(|&name| name.to_owned()).collect(),
            not_before_s: 100 * DAY_S,
            not_after_s: 200 * DAY_S,
            last_day: "1970-07-20".to_owned(),
            is_authority: false,
        };
        let warnings =
            |names: &[&str], day: i64| leaf(names).warnings_at(Path::new("c.pem"), day * DAY_S).join("|");
        assert_eq!(warnings(&["a"], 150), "");
        assert!(warnings(&["a"], 201).contains("c.pem: the certificate has expired (1970-07-20)"));
        assert!(warnings(&["a"], 195).contains("expires on 1970-07-20"));
        assert!(warnings(&["a"], 99).contains("not valid yet"));
        assert!(warnings(&[], 150).contains("names no host"));
        let of_authority = Leaf { is_authority: true, ..leaf(&["a"]) };
        assert!(of_authority.warnings_at(Path::new("c.pem"), 150 * DAY_S)[0].contains("CA:FALSE"));
        assert_eq!(leaf(&["a", "b"]).to_string(), "for a, b, until 1970-07-20");
        assert_eq!(leaf(&["a", "b", "c", "d", "e"]).to_string(), "for a, b, c and 2 more, until 1970-07-20");
    }

    #[test]
    fn a_client_is_named_by_its_certificate() {
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, "ops\n1");
        let key = rcgen::KeyPair::generate().unwrap();
        assert_eq!(name_of(params.self_signed(&key).unwrap().der()), r"ops\n1");
        let mut nameless = rcgen::CertificateParams::default();
        nameless.distinguished_name = rcgen::DistinguishedName::new();
        let name = name_of(nameless.self_signed(&key).unwrap().der());
        assert!(name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit()), "{name}");
    }

    #[test]
    fn what_is_no_certificate_says_so() {
        assert!(describe(&CertificateDer::from(vec![0x30, 0])).is_err());
        let made =
            rcgen::generate_simple_self_signed(["host.example".to_owned(), "192.0.2.1".to_owned()]).unwrap();
        let text = describe(made.cert.der()).unwrap().to_string();
        assert!(text.starts_with("for host.example, 192.0.2.1, until "), "{text}");
    }
}
