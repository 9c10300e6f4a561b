#!/bin/bash
# An example of "your own PKI": makes a root CA with openssl, or takes one, and signs a cluster's request with it.
#
#   scripts/sign_csr.sh REQUEST.csr DIRECTORY [rsa|ec]
#
# REQUEST.csr is the value of the secret cluster-csr. DIRECTORY receives cluster-cert.pem and customer-ca-cert.pem, the values
# of the two secrets; a root that is already there (customer-ca.key, customer-ca-cert.pem) is used again. In earnest the CA's
# key belongs in the custody of your PKI and not on the machine where you happen to sit.
set -euo pipefail

if [ $# -lt 2 ] || [ ! -r "$1" ]; then
  echo "usage: $0 REQUEST.csr DIRECTORY [rsa|ec]" >&2
  exit 2
fi
request=$1 directory=$2 kind=${3:-rsa}
key=$directory/customer-ca.key ca=$directory/customer-ca-cert.pem certificate=$directory/cluster-cert.pem
days=3652 # as long as AWS's own example: a cluster never gets another certificate

umask 077
mkdir -p "$directory"
if [ ! -f "$key" ]; then
  case $kind in
    rsa) openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$key" ;;
    ec) openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out "$key" ;;
    *) echo "$0: $kind is neither rsa nor ec" >&2; exit 2 ;;
  esac
  openssl req -x509 -new -sha384 -key "$key" -days "$days" -subj '/CN=CloudHSM root CA' \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign -out "$ca"
fi
openssl req -noout -verify -in "$request"
openssl x509 -req -sha384 -in "$request" -CA "$ca" -CAkey "$key" -days "$days" -set_serial "0x$(openssl rand -hex 16)" -out "$certificate"
openssl verify -CAfile "$ca" "$certificate"
