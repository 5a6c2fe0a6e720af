// node nodemailer.js MODULE <CASES: a JSON list of cases on stdin, one JSON line for each on stdout: its
// number, and what became of it. Called by test_clients.py.
'use strict';
const nodemailer = require(process.argv[2]);
const cases = JSON.parse(require('fs').readFileSync(0, 'utf8'));

for (const c of cases) {
	const transport = nodemailer.createTransport({
		host: '127.0.0.1', port: c.port, secure: c.implicit, requireTLS: !c.implicit, authMethod: c.mechanism,
		auth: { user: c.user, pass: c.password }, tls: { ca: require('fs').readFileSync(c.ca) },
	});
	transport.sendMail({ from: 'a@b.test', to: 'c@d.test', subject: c.subject, text: 'x' })
		.then(i => i.response, e => `${e.code} ${e.response}`)
		.then(said => console.log(JSON.stringify({ number: c.number, said: said })))
		.then(() => transport.close());
}
