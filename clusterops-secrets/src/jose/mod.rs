//! The parts of JOSE that sealed documents are made of: base64url, tokens (JWE) and signatures (JWS).

pub(crate) mod base64url;
pub(crate) mod jws;
mod members;
pub(crate) mod token;

pub(crate) use members::Members;
