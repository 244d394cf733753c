// One call with the SOAP client of Node, as standard input says; its outcome on standard output.
//
// {"wsdl": URL, "operation": name, "args": {…}, "soap12": false,
//  "password": {"name", "password"} | "certificate": {"key", "certificate"}}
const fs = require("fs");
const soap = require("soap");

function security(asked) {
  if (asked.password) {
    const options = { passwordType: "PasswordDigest", hasTimeStamp: true, mustUnderstand: 1 };
    return new soap.WSSecurity(asked.password.name, asked.password.password, options);
  }
  const [key, certificate] = [asked.certificate.key, asked.certificate.certificate];
  return new soap.WSSecurityCert(fs.readFileSync(key), fs.readFileSync(certificate, "utf8"), "", {
    hasTimeStamp: true,
    signatureAlgorithm: "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
    digestAlgorithm: "http://www.w3.org/2001/04/xmlenc#sha256",
  });
}

async function main() {
  const asked = JSON.parse(fs.readFileSync(0, "utf8"));
  const client = await soap.createClientAsync(asked.wsdl, { forceSoap12Headers: asked.soap12 });
  if (asked.password || asked.certificate) client.setSecurity(security(asked));
  try {
    const [result] = await client[`${asked.operation}Async`](asked.args);
    return { result };
  } catch (error) {
    const fault = error.root && error.root.Envelope.Body.Fault;
    return fault ? { fault } : { error: String(error) };
  }
}

main().then((outcome) => process.stdout.write(JSON.stringify(outcome)));
