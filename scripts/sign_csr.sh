#!/bin/bash
# Example of an external PKI: creates CAs with openssl, or reuses them, and signs a cluster's CSR.
#
#   scripts/sign_csr.sh REQUEST.csr DIRECTORY [rsa|ec] [root|chain]
#
# REQUEST.csr is the value of the secret cluster-csr. The root CA signs it or, with "chain", an issuing CA below the root.
# The script writes cluster-cert.pem and customer-ca-cert.pem, the values of the two secrets, to DIRECTORY. It reuses CAs
# found there (root.key and root.pem, issuer.key and issuer.pem); new CAs have RSA keys or, with "ec", EC keys.
# In production, store the CA keys in your PKI, not on a workstation.
set -euo pipefail

request=${1-} directory=${2-} kind=${3-rsa} shape=${4-root}
if ! [[ "$#,$kind,$shape" =~ ^[234],(rsa|ec),(root|chain)$ ]]; then
  echo "usage: $0 REQUEST.csr DIRECTORY [rsa|ec] [root|chain]" >&2
  exit 2
fi
if [ ! -r "$request" ]; then
  echo "$0: cannot read $request" >&2
  exit 2
fi
days=3652 # as in the AWS documentation; the certificate cannot be replaced

# make_ca NAME ISSUER [PATHLEN]: creates NAME.key and NAME.pem if missing; a root is its own issuer.
make_ca() {
  local ca=$directory/$1 issuer=$directory/$2 issued
  if [ -f "$ca.pem" ]; then
    return
  fi
  if [ ! -f "$ca.key" ]; then
    case $kind in
      rsa) openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$ca.key" ;;
      ec) openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out "$ca.key" ;;
    esac
  fi
  issued=(-CA "$issuer.pem" -CAkey "$issuer.key")
  if [ "$1" = "$2" ]; then
    issued=(-signkey "$ca.key")
  fi
  openssl req -new -key "$ca.key" -subj "/CN=CloudHSM $1 CA" |
    openssl x509 -req -sha384 "${issued[@]}" -days "$days" -set_serial "0x$(openssl rand -hex 16)" -out "$ca.pem" \
      -extfile <(printf '%s\n' "basicConstraints=critical,CA:TRUE${3-}" keyUsage=critical,keyCertSign,cRLSign \
        subjectKeyIdentifier=hash authorityKeyIdentifier=keyid) # as RFC 5280 requires
}

openssl req -noout -verify -in "$request"
umask 077
mkdir -p "$directory"
signer=$directory/root
bundle=("$directory/root.pem")
make_ca root root
if [ "$shape" = chain ]; then
  signer=$directory/issuer
  bundle=("$directory/issuer.pem" "$directory/root.pem") # the order that CloudHSM requires
  make_ca issuer root ,pathlen:0
fi
openssl x509 -req -sha384 -in "$request" -CA "$signer.pem" -CAkey "$signer.key" -days "$days" \
  -set_serial "0x$(openssl rand -hex 16)" -out "$directory/cluster-cert.pem" \
  -extfile <(printf '%s\n' subjectKeyIdentifier=hash authorityKeyIdentifier=keyid)
cat "${bundle[@]}" > "$directory/customer-ca-cert.pem"
openssl verify -x509_strict -CAfile "$directory/root.pem" -untrusted "$directory/customer-ca-cert.pem" "$directory/cluster-cert.pem"
