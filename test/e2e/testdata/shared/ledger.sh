# ledger.sh DIRECTORY FORMAT READS [COMMAND]: writes the manifest of a version of an app into a
# directory. The version refuses newer data, as bitcoind, lnd and PostgreSQL do, and converts older
# data before it runs the command.
cat >"$1/ledger.yaml" <<END
app:
  id: ledger
  name: Ledger
  version: "$2"
  revision: $2
  container:
    image: localhost/busybox:1
    command:
      - sh
      - -c
      - 'f=\$(cat /data/format || echo 1); [ \$f -le $2 ] || exit 7; echo $2 >/data/format; ${4+$4 $5;} exec httpd -f -p 8080 -h /data'
    user: "1000:1000"
    init: true
    stop: {timeout: 1s}
    ports: [{name: web, host: 18085, container: 8080}]
    volumes: [{name: data, target: /data}]
    health: {serving: {http: {port: web, path: /format}}}
  data: {format: $2, reads: $3}
END
