//! Generated documents: what is sealed and opened again is what was there, and nothing panics.

use super::*;
