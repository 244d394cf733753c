// A SOAP server of Node for one WSDL file, with what the client here has to get right: the form of
// the message, and the digest of the password. Its port on standard output; it ends with standard
// input.
//
// node server.js FILE.wsdl PASSWORD
const crypto = require("crypto");
const fs = require("fs");
const http = require("http");
const soap = require("soap");

const [file, password] = process.argv.slice(2);

function answer(args) {
  if (!args.Payload) {
    const Detail = { Reason: "no payload" };
    throw { Fault: { faultcode: "soap:Client", faultstring: "no payload", detail: Detail } };
  }
  const { Noun, MessageID } = args.Header;
  const header = { Verb: "reply", Noun, Source: "NODE", CorrelationID: MessageID };
  return { Header: header, Reply: { Result: "OK" } };
}

function knows(security) {
  const token = security && security.UsernameToken;
  if (!token) return false;
  const hash = crypto.createHash("sha1");
  hash.update(Buffer.from(token.Nonce.$value || token.Nonce, "base64"));
  hash.update(token.Created + password);
  return hash.digest("base64") === (token.Password.$value || token.Password);
}

const server = http.createServer((_, response) => response.end());
const operations = { CreateMeterReadings: answer };
const service = { MeterReadings: { MeterReadings_soap: operations, MeterReadings_soap12: operations } };
server.listen(0, "127.0.0.1", () => {
  const listening = soap.listen(server, "/crews", service, fs.readFileSync(file, "utf8"), () => {
    process.stdout.write(`${server.address().port}\n`);
  });
  listening.authenticate = knows;
});
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
