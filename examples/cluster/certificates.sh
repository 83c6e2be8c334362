# An authority, and one certificate for every host of the cluster, in /tls.
set -eu
cd /tls
hosts="DNS:app1.cluster.test,DNS:app2.cluster.test,DNS:app3.cluster.test,DNS:shop1.cluster.test,DNS:shop2.cluster.test"
hosts="$hosts,DNS:shop3.cluster.test,DNS:check.cluster.test"
key="-newkey rsa:2048 -nodes"
openssl req -x509 $key -subj /CN=cluster -days 30 -keyout ca.key -out ca.pem 2>/dev/null
openssl req $key -subj /CN=node -keyout node.key -out node.csr 2>/dev/null
printf 'subjectAltName=%s\n' "$hosts" > node.ext
openssl x509 -req -in node.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile node.ext -out node.crt 2>/dev/null
cat node.crt node.key > node.pem
rm -f ca.key # nobody signs anything more
chmod 644 node.pem # the Python image runs as a user of its own
