//! Who may join: tokens (JWT, RFC 7519) that somebody whom the operator trusts has signed. What a token lets its
//! bearer do is in it, and the server keeps nothing but the keys and what was revoked.

mod jwk;

pub use jwk::{Algorithm, Jwk, KeyFileError, KeySet, KeySetError, KeyUnfit};
