"""python3-acme, certbot's library: python3 python3-acme.py DIRECTORY CHALLENGE issue|revoke NAME..."""

import datetime
import ipaddress
import os
import pathlib
import sys

import josepy
from acme import challenges, crypto_util, errors, messages
from acme.client import ClientNetwork, ClientV2
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hook import provide
from OpenSSL import crypto

TYPES = {"http-01": challenges.HTTP01, "dns-01": challenges.DNS01, "tls-alpn-01": challenges.TLSALPN01}


def account_key():
    path = pathlib.Path("account.pem")
    if path.exists():
        return serialization.load_pem_private_key(path.read_bytes(), None)
    key = ec.generate_private_key(ec.SECP256R1())
    form = serialization.PrivateFormat.PKCS8
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    return key


def csr(names):
    key = ec.generate_private_key(ec.SECP256R1())
    form = serialization.PrivateFormat.PKCS8
    pem = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    addresses = [ipaddress.ip_address(name) for name in names if name[-1].isdigit()]
    return crypto_util.make_csr(pem, [name for name in names if not name[-1].isdigit()], ipaddrs=addresses)


def main(directory, kind, work, *names):
    key = josepy.JWKEC(key=account_key())
    net = ClientNetwork(key, alg=josepy.ES256, verify_ssl=os.environ["REQUESTS_CA_BUNDLE"])
    client = ClientV2(ClientV2.get_directory(directory, net), net)
    new = messages.NewRegistration.from_data(email="drill@example.test", terms_of_service_agreed=True)
    try:
        client.new_account(new)
    except errors.ConflictError as known:  # what it makes of 200
        net.account = messages.RegistrationResource(uri=known.location, body=messages.Registration())
    chain = pathlib.Path("cert.pem")
    if work == "revoke":
        certificate = crypto.load_certificate(crypto.FILETYPE_PEM, chain.read_bytes())
        client.revoke(josepy.ComparableX509(certificate), 4)
        return
    order = client.new_order(csr(names))
    for authz in order.authorizations:
        if authz.body.status == messages.STATUS_VALID:  # the CA used it again
            continue
        challenge = next(one for one in authz.body.challenges if isinstance(one.chall, TYPES[kind]))
        response = challenge.chall.response(key)
        value = challenge.chall.validation(key) if kind == "dns-01" else response.key_authorization
        provide(kind, authz.body.identifier.value, challenge.chall.encode("token"), value)
        client.answer_challenge(challenge, response)
    order = client.poll_and_finalize(order, datetime.datetime.now() + datetime.timedelta(seconds=30))
    chain.write_text(order.fullchain_pem)


main(*sys.argv[1:])
