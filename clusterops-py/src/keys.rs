//! The keys of recipients.

use std::path::PathBuf;
use std::sync::Arc;

use clusterops::secrecy::{ExposeSecret as _, SecretString};
use clusterops::{Identity, secrets};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString, PyTuple};

use crate::errors::raise;
use crate::runtime::{aside, wait};
use crate::secret::{Secret, SecretText, not_pickled};

/// The public key of a recipient: RSA, 2048 to 8192 bits. Anybody can seal for it.
///
/// Examples
/// --------
/// >>> from clusterops.secrets import PrivateKey, PublicKey
/// >>> key = PrivateKey.generate(2048).public_key
/// >>> PublicKey.from_pem(key.to_pem()) == key
/// True
/// >>> key.warning
/// 'the key has 2048 bits; 3072 are recommended'
#[pyclass(module = "clusterops.secrets", frozen, eq)]
#[derive(Debug, PartialEq)]
pub(crate) struct PublicKey(pub(crate) secrets::PublicKey);

#[pymethods]
impl PublicKey {
    /// Reads a SubjectPublicKeyInfo in PEM.
    ///
    /// Raises
    /// ------
    /// InvalidError
    ///     It is none, not of RSA, or not of 2048 to 8192 bits.
    #[staticmethod]
    fn from_pem(pem: &str) -> PyResult<Self> {
        secrets::PublicKey::from_pem(pem).map(Self).map_err(raise)
    }

    /// Reads a JWK.
    #[staticmethod]
    fn from_jwk(json: &str) -> PyResult<Self> {
        secrets::PublicKey::from_jwk(json).map(Self).map_err(raise)
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
    ///
    /// Raises
    /// ------
    /// LocalError
    ///     The file is there, or cannot be written.
    fn write_new(&self, path: PathBuf) -> PyResult<()> {
        self.0.write_new(path).map_err(raise)
    }

    /// Its name: the thumbprint of RFC 7638, 43 characters.
    #[getter]
    fn thumbprint(&self) -> &str {
        self.0.thumbprint().as_str()
    }

    /// The length of its modulus.
    #[getter]
    fn bits(&self) -> usize {
        self.0.bits()
    }

    /// What speaks against sealing for it.
    #[getter]
    fn warning(&self) -> Option<String> {
        self.0.warning().map(|warning| warning.to_string())
    }

    fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
        PyString::new(py, self.thumbprint()).hash()
    }

    fn __repr__(&self) -> String {
        format!("<PublicKey {}>", self.thumbprint())
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let restore = py.get_type::<Self>().getattr("from_jwk")?;
        (restore, (self.to_jwk(),)).into_pyobject(py)
    }
}

/// The private key of a recipient, who opens what is sealed for it. It is neither shown nor pickled.
///
/// Examples
/// --------
/// >>> from clusterops.secrets import PrivateKey
/// >>> key = PrivateKey.generate(2048)
/// >>> pem = key.to_pem("correct horse battery staple")
/// >>> PrivateKey.from_pem(pem, "correct horse battery staple").public_key == key.public_key
/// True
#[pyclass(module = "clusterops.secrets", frozen)]
#[derive(Debug)]
pub(crate) struct PrivateKey(pub(crate) Arc<secrets::PrivateKey>);

/// What the signature of `generate` says; Python is to see the number.
const _: () = assert!(secrets::DEFAULT_BITS == 3072);

#[pymethods]
impl PrivateKey {
    /// Makes a new key; 3072 bits can take some seconds.
    ///
    /// Raises
    /// ------
    /// InvalidError
    ///     For fewer than 2048 or more than 8192 bits.
    #[staticmethod]
    #[pyo3(signature = (bits = 3072))]
    fn generate(py: Python<'_>, bits: usize) -> PyResult<Self> {
        wait(py, aside(move || secrets::PrivateKey::generate(bits))).map(Self::new)
    }

    /// Reads PKCS#8 in PEM, plain or encrypted.
    ///
    /// Raises
    /// ------
    /// InvalidError
    ///     It is none, not of RSA, or the passphrase is missing or wrong.
    #[staticmethod]
    #[pyo3(signature = (pem, passphrase = None))]
    fn from_pem(py: Python<'_>, pem: SecretText, passphrase: Option<SecretText>) -> PyResult<Self> {
        decrypted(py, passphrase, move |passphrase| {
            secrets::PrivateKey::from_pem(pem.0.expose_secret(), passphrase)
        })
        .map(Self::new)
    }

    /// Reads a file of PKCS#8 in PEM that nobody but its owner can read.
    ///
    /// Raises
    /// ------
    /// InvalidError
    ///     As for `from_pem`, and when others can read the file.
    /// LocalError
    ///     We cannot read it.
    #[staticmethod]
    #[pyo3(signature = (path, passphrase = None))]
    fn read(py: Python<'_>, path: PathBuf, passphrase: Option<SecretText>) -> PyResult<Self> {
        decrypted(py, passphrase, move |passphrase| {
            secrets::PrivateKey::read(path, passphrase)
        })
        .map(Self::new)
    }

    /// Its public half.
    #[getter]
    fn public_key(&self) -> PublicKey {
        PublicKey(self.0.public_key().clone())
    }

    /// Which recipient this is: the thumbprint of its public key.
    #[getter]
    fn recipient(&self) -> &str {
        self.0.public_key().thumbprint().as_str()
    }

    /// Decrypts a wrapped key, as an `Identity` does; None when it does not decrypt.
    fn unwrap<'py>(
        &self,
        py: Python<'py>,
        encrypted_key: &[u8],
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let (key, encrypted_key) = (Arc::clone(&self.0), encrypted_key.to_vec());
        let unwrapped = wait(py, async move {
            Identity::unwrap(&*key, &encrypted_key).await.map_err(raise)
        })?;
        Ok(unwrapped.map(|key| PyBytes::new(py, key.expose_secret())))
    }

    /// The key as PKCS#8 in PEM, encrypted under a passphrase.
    fn to_pem(&self, py: Python<'_>, passphrase: SecretText) -> PyResult<Secret> {
        let key = Arc::clone(&self.0);
        wait(py, aside(move || key.to_pem(&passphrase.0))).map(Secret)
    }

    /// The key as PKCS#8 in PEM that anybody who sees it can use.
    fn danger_to_unencrypted_pem(&self) -> PyResult<Secret> {
        let pem = self.0.danger_to_unencrypted_pem();
        pem.map(Secret).map_err(raise)
    }

    /// Writes it, encrypted, into a new file that only its owner can read; one that is there already is left as it is.
    fn write_new(&self, py: Python<'_>, path: PathBuf, passphrase: SecretText) -> PyResult<()> {
        let key = Arc::clone(&self.0);
        wait(py, aside(move || key.write_new(path, &passphrase.0)))
    }

    /// As `write_new`, without a passphrase.
    fn danger_write_new_unencrypted(&self, path: PathBuf) -> PyResult<()> {
        self.0.danger_write_new_unencrypted(path).map_err(raise)
    }

    fn __repr__(&self) -> String {
        format!("<PrivateKey {}>", self.0.public_key().thumbprint())
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(not_pickled("a private key"))
    }
}

impl PrivateKey {
    fn new(key: secrets::PrivateKey) -> Self {
        Self(Arc::new(key))
    }
}

/// Reads a key that may be encrypted under a passphrase.
pub(crate) fn decrypted<T: Send + 'static>(
    py: Python<'_>,
    passphrase: Option<SecretText>,
    read: impl FnOnce(Option<&SecretString>) -> secrets::Result<T> + Send + 'static,
) -> PyResult<T> {
    let passphrase = passphrase.map(|text| text.0);
    wait(py, aside(move || read(passphrase.as_ref())))
}
