"""Opens and seals with a JOSE library of Python: `peer.py jwcrypto|joserfc`, a JSON object in, a JSON object out.

In:  {"open": [{"document": {...}, "key": PEM}], "seal": [{"document": ID, "recipients": [PEM], "values": {PATH: TEXT}}]}
Out: {"opened": [{PATH: TEXT}], "sealed": [{"epochs": {ID: JWE}, "tokens": {PATH: TOKEN}}]}
"""

import hashlib
import json
import sys
from base64 import urlsafe_b64decode, urlsafe_b64encode


class Jwcrypto:
    """https://jwcrypto.readthedocs.io"""

    def __init__(self):
        from jwcrypto import jwe, jwk

        self.jwe, self.jwk = jwe, jwk

    def key(self, pem):
        return self.jwk.JWK.from_pem(pem.encode())

    def thumbprint(self, key):
        return key.thumbprint()

    def unwrap(self, epoch, key):
        token = self.jwe.JWE(algs=["RSA-OAEP-256", "A256GCM"])
        token.deserialize(json.dumps(epoch), key)
        return token.payload

    def wrap(self, payload, keys):
        header = compact({"alg": "RSA-OAEP-256", "enc": "A256GCM"})
        token = self.jwe.JWE(payload, protected=header)
        for key in keys:
            token.add_recipient(key, header=compact({"kid": key.thumbprint()}))
        epoch = json.loads(token.serialize())
        if "recipients" not in epoch:
            # For one recipient it writes the flattened form (RFC 7516 section 7.2.2).
            epoch["recipients"] = [{name: epoch.pop(name) for name in ("header", "encrypted_key")}]
        return epoch

    def decrypt(self, token, secret):
        opened = self.jwe.JWE(algs=["dir", "A256GCM"])
        try:
            opened.deserialize(token, self.jwk.JWK(**secret))
        except self.jwe.InvalidJWEData:
            # It takes an empty text that it has decrypted for a failure.
            if opened.decryptlog != ["Success"]:
                raise
            return b""
        return opened.payload

    def encrypt(self, header, payload, secret):
        token = self.jwe.JWE(payload, protected=compact(header), recipient=self.jwk.JWK(**secret))
        return token.serialize(compact=True)


class Joserfc:
    """https://jose.authlib.org"""

    def __init__(self):
        from joserfc import jwe, jwk

        self.jwe, self.jwk = jwe, jwk
        # A recipient opens its own entry, and the headers hold members of ours.
        self.registry = jwe.JWERegistry(
            algorithms=["RSA-OAEP-256", "dir", "A256GCM"],
            strict_check_header=False,
            verify_all_recipients=False,
        )

    def key(self, pem):
        return self.jwk.RSAKey.import_key(pem)

    def thumbprint(self, key):
        return key.thumbprint()

    def unwrap(self, epoch, key):
        return self.jwe.decrypt_json(epoch, key, registry=self.registry).plaintext

    def wrap(self, payload, keys):
        header = {"alg": "RSA-OAEP-256", "enc": "A256GCM"}
        token = self.jwe.GeneralJSONEncryption(header, payload)
        for key in keys:
            token.add_recipient({"kid": key.thumbprint()}, key)
        return self.jwe.encrypt_json(token, None, registry=self.registry)

    def decrypt(self, token, secret):
        key = self.jwk.OctKey.import_key(secret)
        return self.jwe.decrypt_compact(token, key, registry=self.registry).plaintext

    def encrypt(self, header, payload, secret):
        key = self.jwk.OctKey.import_key(secret)
        return self.jwe.encrypt_compact(header, payload, key, registry=self.registry)


def compact(value):
    return json.dumps(value, separators=(",", ":"))


def epoch_id(payload):
    """The thumbprint of an oct JWK (RFC 7638), by hand: its members in order, without white space."""
    secret = json.loads(payload)
    members = compact({"k": secret["k"], "kty": secret["kty"]})
    return urlsafe_b64encode(hashlib.sha256(members.encode()).digest()).rstrip(b"=").decode()


def protected_header(token):
    part = token.split(".")[0]
    return json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def tokens(value):
    """Every sealed value of a document."""
    if isinstance(value, dict):
        for name, member in value.items():
            if name != "x-sealed":
                yield from tokens(member)
    elif isinstance(value, list):
        for element in value:
            yield from tokens(element)
    elif isinstance(value, str) and value.startswith("SEALED[") and value.endswith("]"):
        yield value[len("SEALED[") : -1]


def open_document(library, case):
    block = case["document"]["x-sealed"]
    assert block["version"] == 1, block["version"]
    key = library.key(case["key"])
    secrets = {}
    for name, epoch in block["epochs"].items():
        assert library.thumbprint(key) in {entry["header"]["kid"] for entry in epoch["recipients"]}
        payload = library.unwrap(epoch, key)
        assert epoch_id(payload) == name, name
        secrets[name] = json.loads(payload)
    opened = {}
    for token in tokens(case["document"]):
        header = protected_header(token)
        assert header["doc"] == block["document"], header
        opened[header["path"]] = library.decrypt(token, secrets[header["kid"]]).decode()
    return opened


def seal_values(library, case):
    import secrets

    key = urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode()
    secret = {"k": key, "kty": "oct"}
    payload = compact(secret).encode()
    name = epoch_id(payload)
    sealed = {}
    for path, text in case["values"].items():
        header = {"alg": "dir", "enc": "A256GCM", "kid": name, "doc": case["document"], "path": path}
        sealed[path] = library.encrypt(header, text.encode(), secret)
    recipients = [library.key(pem) for pem in case["recipients"]]
    return {"epochs": {name: library.wrap(payload, recipients)}, "tokens": sealed}


def main():
    library = {"jwcrypto": Jwcrypto, "joserfc": Joserfc}[sys.argv[1]]()
    work = json.load(sys.stdin)
    answer = {
        "opened": [open_document(library, case) for case in work["open"]],
        "sealed": [seal_values(library, case) for case in work["seal"]],
    }
    json.dump(answer, sys.stdout)


main()
