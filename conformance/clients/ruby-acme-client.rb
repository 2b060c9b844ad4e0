# ruby-acme-client is a library. This is the program of its README: ruby ruby-acme-client.rb DIRECTORY CHALLENGE issue|revoke NAME...
require "acme-client"
require "json"
require "net/http"

directory, kind, work, *names = ARGV

def tell(call, body)
  Net::HTTP.post(URI("#{ENV["DRILL_RESPOND"]}/#{call}"), body.to_json)
end

def key(path)
  return OpenSSL::PKey.read(File.read(path)) if File.exist?(path)

  OpenSSL::PKey::EC.generate("prime256v1").tap { |made| File.write(path, made.to_pem) }
end

trust = { ssl: { ca_file: ENV["SSL_CERT_FILE"] } }
client = Acme::Client.new(private_key: key("account.pem"), directory: directory, connection_options: trust)
client.new_account(contact: "mailto:drill@example.test", terms_of_service_agreed: true)
if work == "revoke"
  client.revoke(certificate: File.read("cert.pem")) or abort "not revoked"
  exit
end

order = client.new_order(identifiers: names)
order.authorizations.each do |authz|
  next if authz.status == "valid" # the CA used it again

  if kind == "http-01"
    challenge = authz.http
    tell("add-http01", token: challenge.token, content: challenge.file_content)
  else
    challenge = authz.dns
    tell("set-txt", host: "#{challenge.record_name}.#{authz.domain}.", value: challenge.record_content)
  end
  challenge.request_validation
  while %w[pending processing].include?(challenge.status)
    sleep 0.2
    challenge.reload
  end
  abort "challenge #{challenge.status}: #{challenge.error}" unless challenge.status == "valid"
end
csr = Acme::Client::CertificateRequest.new(private_key: OpenSSL::PKey::RSA.new(2048), names: names, subject: {})
order.finalize(csr: csr)
while order.status == "processing"
  sleep 0.2
  order.reload
end
File.write("cert.pem", order.certificate)
