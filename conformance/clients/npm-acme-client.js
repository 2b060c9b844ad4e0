// acme-client of npm is a library. This is its automatic mode: node npm-acme-client.js DIRECTORY CHALLENGE issue|revoke NAME...
'use strict';
const fs = require('fs');
const acme = require(process.env.DRILL_NPM + '/acme-client');

const [directoryUrl, kind, work, ...names] = process.argv.slice(2);

async function tell(call, body) {
    const reply = await fetch(`${process.env.DRILL_RESPOND}/${call}`, { method: 'POST', body: JSON.stringify(body) });
    if (!reply.ok) throw new Error(`${call}: ${reply.status}`);
}

async function challengeCreateFn(authz, challenge, value) {
    const name = authz.identifier.value;
    if (kind === 'http-01') await tell('add-http01', { token: challenge.token, content: value });
    else if (kind === 'dns-01') await tell('set-txt', { host: `_acme-challenge.${name}.`, value });
    else await tell('add-tlsalpn01', { host: name, content: value });
}

async function main() {
    if (!fs.existsSync('account.pem')) fs.writeFileSync('account.pem', await acme.crypto.createPrivateEcdsaKey());
    const client = new acme.Client({ directoryUrl, accountKey: fs.readFileSync('account.pem') });
    const account = { termsOfServiceAgreed: true, contact: ['mailto:drill@example.test'] };
    if (work === 'revoke') {
        await client.createAccount(account);
        await client.revokeCertificate(fs.readFileSync('cert.pem'), { reason: 4 });
        return;
    }
    const [, csr] = await acme.crypto.createCsr({ altNames: names });
    fs.writeFileSync('cert.pem', await client.auto({
        csr, ...account, challengePriority: [kind], skipChallengeVerification: true,
        challengeCreateFn, challengeRemoveFn: async () => {},
    }));
}

main().catch((error) => {
    console.error(error);
    process.exit(1);
});
