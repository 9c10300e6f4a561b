#!/bin/bash
# An example of "your own PKI": makes CAs with openssl, or takes those it made before, and signs a cluster's request.
#
#   scripts/sign_csr.sh REQUEST.csr DIRECTORY [rsa|ec] [root|chain]
#
# REQUEST.csr is the value of the secret cluster-csr. The root CA signs it, or with "chain" an issuing CA below the root.
# DIRECTORY receives cluster-cert.pem and customer-ca-cert.pem, the values of the two secrets. A CA that is already there
# (root.key and root.pem, issuer.key and issuer.pem) is used again; a new one has keys of RSA, or of "ec". In earnest the
# CAs' keys belong in the custody of your PKI and not on the machine where you happen to sit.
set -euo pipefail

request=${1-} directory=${2-} kind=${3-rsa} shape=${4-root}
if ! [[ "$#,$kind,$shape" =~ ^[234],(rsa|ec),(root|chain)$ ]]; then
  echo "usage: $0 REQUEST.csr DIRECTORY [rsa|ec] [root|chain]" >&2
  exit 2
fi
if [ ! -r "$request" ]; then
  echo "$0: there is no $request to read" >&2
  exit 2
fi
days=3652 # as long as AWS's own example: a cluster never gets another certificate

# make_ca NAME ISSUER [PATHLEN]: makes NAME.key and NAME.pem, unless they are there; a root issues itself.
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
      -extfile <(printf '%s\n' "basicConstraints=critical,CA:TRUE${3-}" keyUsage=critical,keyCertSign,cRLSign)
}

openssl req -noout -verify -in "$request"
umask 077
mkdir -p "$directory"
signer=$directory/root
bundle=("$directory/root.pem")
make_ca root root
if [ "$shape" = chain ]; then
  signer=$directory/issuer
  bundle=("$directory/issuer.pem" "$directory/root.pem") # the order that CloudHSM wants
  make_ca issuer root ,pathlen:0
fi
openssl x509 -req -sha384 -in "$request" -CA "$signer.pem" -CAkey "$signer.key" -days "$days" \
  -set_serial "0x$(openssl rand -hex 16)" -out "$directory/cluster-cert.pem"
cat "${bundle[@]}" > "$directory/customer-ca-cert.pem"
openssl verify -CAfile "$directory/root.pem" -untrusted "$directory/customer-ca-cert.pem" "$directory/cluster-cert.pem"
