//! Signatures of files, and the keys of signers.

use std::path::PathBuf;

use clusterops::secrecy::ExposeSecret as _;
use clusterops::secrets::{self, DocumentId};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};

use crate::errors::raise;
use crate::keys::{PrivateKey, decrypted};
use crate::runtime::{aside, wait};
use crate::sealed_file::{SealedFile, id_of};
use crate::secret::{Secret, SecretText, not_pickled};
use crate::words::takes;

/// The Ed25519 key of somebody who signs files. It is neither shown nor pickled.
///
/// Examples
/// --------
/// >>> from clusterops.secrets import SigningKey, sign, verify
/// >>> key = SigningKey.generate()
/// >>> signature = sign(b"the file", "/shop", key)
/// >>> verify(b"the file", "/shop", [key.verifying_key], signature) == key.verifying_key.thumbprint
/// True
#[pyclass(module = "clusterops.secrets", frozen)]
#[derive(Debug)]
pub(crate) struct SigningKey(secrets::SigningKey);

#[pymethods]
impl SigningKey {
    /// Makes a new key.
    #[staticmethod]
    fn generate() -> Self {
        Self(secrets::SigningKey::generate())
    }

    /// Reads PKCS#8 in PEM, plain or encrypted.
    #[staticmethod]
    #[pyo3(signature = (pem, passphrase = None))]
    fn from_pem(py: Python<'_>, pem: SecretText, passphrase: Option<SecretText>) -> PyResult<Self> {
        decrypted(py, passphrase, move |passphrase| {
            secrets::SigningKey::from_pem(pem.0.expose_secret(), passphrase)
        })
        .map(Self)
    }

    /// Reads a file of PKCS#8 in PEM that nobody but its owner can read.
    #[staticmethod]
    #[pyo3(signature = (path, passphrase = None))]
    fn read(py: Python<'_>, path: PathBuf, passphrase: Option<SecretText>) -> PyResult<Self> {
        decrypted(py, passphrase, move |passphrase| {
            secrets::SigningKey::read(path, passphrase)
        })
        .map(Self)
    }

    /// Its public half.
    #[getter]
    fn verifying_key(&self) -> VerifyingKey {
        VerifyingKey(self.0.verifying_key().clone())
    }

    /// The key as PKCS#8 in PEM, encrypted under a passphrase.
    fn to_pem(&self, py: Python<'_>, passphrase: SecretText) -> PyResult<Secret> {
        let key = self.0.clone();
        wait(py, aside(move || key.to_pem(&passphrase.0))).map(Secret)
    }

    /// The key as PKCS#8 in PEM that anybody who sees it can use.
    fn danger_to_unencrypted_pem(&self) -> PyResult<Secret> {
        let pem = self.0.danger_to_unencrypted_pem();
        pem.map(Secret).map_err(raise)
    }

    /// Writes it, encrypted, into a new file that only its owner can read; one that is there already is left as it is.
    fn write_new(&self, py: Python<'_>, path: PathBuf, passphrase: SecretText) -> PyResult<()> {
        let key = self.0.clone();
        wait(py, aside(move || key.write_new(path, &passphrase.0)))
    }

    /// As `write_new`, without a passphrase.
    fn danger_write_new_unencrypted(&self, path: PathBuf) -> PyResult<()> {
        self.0.danger_write_new_unencrypted(path).map_err(raise)
    }

    fn __repr__(&self) -> String {
        format!("<SigningKey {}>", self.0.verifying_key().thumbprint())
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(not_pickled("a signing key"))
    }
}

/// The public key of a signer: Ed25519, or RSA of 2048 to 8192 bits.
#[pyclass(module = "clusterops.secrets", frozen, eq)]
#[derive(Debug, PartialEq)]
pub(crate) struct VerifyingKey(pub(crate) secrets::VerifyingKey);

#[pymethods]
impl VerifyingKey {
    /// Reads a SubjectPublicKeyInfo in PEM.
    #[staticmethod]
    fn from_pem(pem: &str) -> PyResult<Self> {
        secrets::VerifyingKey::from_pem(pem)
            .map(Self)
            .map_err(raise)
    }

    /// Reads a JWK.
    #[staticmethod]
    fn from_jwk(json: &str) -> PyResult<Self> {
        secrets::VerifyingKey::from_jwk(json)
            .map(Self)
            .map_err(raise)
    }

    /// The key as a SubjectPublicKeyInfo in PEM.
    fn to_pem(&self) -> String {
        self.0.to_pem()
    }

    /// The key as a JWK on one line.
    fn to_jwk(&self) -> String {
        self.0.to_jwk()
    }

    /// Writes it as PEM into a new file; one that is there already is left as it is.
    fn write_new(&self, path: PathBuf) -> PyResult<()> {
        self.0.write_new(path).map_err(raise)
    }

    /// Its name: the thumbprint of RFC 7638, 43 characters.
    #[getter]
    fn thumbprint(&self) -> &str {
        self.0.thumbprint().as_str()
    }

    fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
        PyString::new(py, self.thumbprint()).hash()
    }

    fn __repr__(&self) -> String {
        format!("<VerifyingKey {}>", self.thumbprint())
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let restore = py.get_type::<Self>().getattr("from_jwk")?;
        (restore, (self.to_jwk(),)).into_pyobject(py)
    }
}

/// Who signs: a key for it, or an RSA key.
pub(crate) enum Signer<'py> {
    Ed25519(Bound<'py, SigningKey>),
    Rsa(Bound<'py, PrivateKey>),
}

impl<'py> FromPyObject<'_, 'py> for Signer<'py> {
    type Error = PyErr;
    takes!("SigningKey | PrivateKey");

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(key) = value.cast::<SigningKey>() {
            return Ok(Self::Ed25519(key.to_owned()));
        }
        match value.cast::<PrivateKey>() {
            Ok(key) => Ok(Self::Rsa(key.to_owned())),
            Err(_) => Err(PyTypeError::new_err(
                "who signs has a SigningKey or a PrivateKey",
            )),
        }
    }
}

impl Signer<'_> {
    fn key(&self) -> secrets::Signer<'_> {
        match self {
            Self::Ed25519(key) => (&key.get().0).into(),
            Self::Rsa(key) => (&*key.get().0).into(),
        }
    }
}

/// The keys whose signatures count.
pub(crate) fn trusted(signers: &[Bound<'_, VerifyingKey>]) -> Vec<secrets::VerifyingKey> {
    signers.iter().map(|key| key.get().0.clone()).collect()
}

/// Signs bytes as the document of this id; gives one line.
#[pyfunction]
pub(crate) fn sign(bytes: &[u8], id: &str, key: Signer<'_>) -> PyResult<String> {
    let id: DocumentId = id.parse().map_err(raise)?;
    secrets::sign(bytes, &id, key.key()).map_err(raise)
}

/// Checks that one of the trusted signers has signed these bytes as the document of this id.
///
/// Returns
/// -------
/// str
///     The thumbprint of the first that has.
///
/// Raises
/// ------
/// DeniedError
///     None of them has.
#[pyfunction]
pub(crate) fn verify(
    bytes: &[u8],
    id: &str,
    signers: Vec<Bound<'_, VerifyingKey>>,
    signatures: &str,
) -> PyResult<String> {
    let id: DocumentId = id.parse().map_err(raise)?;
    let signer = secrets::verify(bytes, &id, &trusted(&signers), signatures);
    signer.map(|signer| signer.to_string()).map_err(raise)
}

/// Signs a file; the signature stands in the file beside it, ``FILE.sig``, whose path this gives.
///
/// Raises
/// ------
/// InvalidError
///     The file is no document, or a value in it is still marked to be sealed.
#[pyfunction]
#[pyo3(signature = (file, key, *, id = None))]
pub(crate) fn sign_file(file: &SealedFile, key: Signer<'_>, id: Option<&str>) -> PyResult<PathBuf> {
    let id = id_of(&file.0, id)?;
    secrets::sign_file(&file.0, &id, key.key()).map_err(raise)
}

/// Checks a file against the signatures in the file beside it.
///
/// Returns
/// -------
/// str
///     The thumbprint of the first of the trusted signers that has signed it.
///
/// Raises
/// ------
/// DeniedError
///     None of them has.
#[pyfunction]
#[pyo3(signature = (file, signers, *, id = None))]
pub(crate) fn verify_file(
    file: &SealedFile,
    signers: Vec<Bound<'_, VerifyingKey>>,
    id: Option<&str>,
) -> PyResult<String> {
    let id = id_of(&file.0, id)?;
    let signer = secrets::verify_file(&file.0, &id, &trusted(&signers));
    signer.map(|signer| signer.to_string()).map_err(raise)
}
