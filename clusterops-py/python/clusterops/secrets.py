"""Keys and sealed documents: values that stand encrypted in app definitions, for certain recipients.

Examples
--------
>>> from clusterops import secrets
>>> ana = secrets.PrivateKey.generate(2048)
>>> app = '{"id": "/shop", "env": {"DB": "ENC[db:hunter2]", "ZONE": "a"}}'
>>> sealed = secrets.seal(app, {"ana": ana.public_key})
>>> opened = secrets.open(sealed.text, [ana], id="/shop")
>>> opened["/env/DB"]
<Secret>
>>> opened["/env/DB"].reveal()
'hunter2'
"""

from __future__ import annotations

from ._clusterops import (
    Finding,
    Merged,
    Opened,
    PrivateKey,
    PublicKey,
    Recipients,
    RecipientsFile,
    Resealed,
    Sealed,
    SealedFile,
    Secret,
    SigningKey,
    Unsealed,
    VerifyingKey,
    acompact,
    aedit,
    aexec_and_wait,
    aextract,
    amerge_opened,
    aopen,
    areseal,
    arotate,
    check,
    compact,
    edit,
    exec,
    exec_and_wait,
    extract,
    merge,
    merge_opened,
    open,
    reseal,
    rotate,
    seal,
    seal_paths,
    set,
    show,
    sign,
    sign_file,
    verify,
    verify_file,
)
from .protocols import Identity

__all__ = [
    "Finding",
    "Identity",
    "Merged",
    "Opened",
    "PrivateKey",
    "PublicKey",
    "Recipients",
    "RecipientsFile",
    "Resealed",
    "Sealed",
    "SealedFile",
    "Secret",
    "SigningKey",
    "Unsealed",
    "VerifyingKey",
    "acompact",
    "aedit",
    "aexec_and_wait",
    "aextract",
    "amerge_opened",
    "aopen",
    "areseal",
    "arotate",
    "check",
    "compact",
    "edit",
    "exec",
    "exec_and_wait",
    "extract",
    "merge",
    "merge_opened",
    "open",
    "reseal",
    "rotate",
    "seal",
    "seal_paths",
    "set",
    "show",
    "sign",
    "sign_file",
    "verify",
    "verify_file",
]
