# A cache of replaced transactions that has grown too large to be read ends each start
# (umbrel 2173, start-technologies 3326), so it goes. The size is a sixteenth of the
# memory below, as in Umbrel's exports.sh.
find /backend/cache \( -name rbfcache.json -o -name tmp-rbfcache.json \) -size +{{if lt .machine.memory 10240}}65536{{else if lt .machine.memory 15360}}131072{{else if lt .machine.memory 30720}}196608{{else}}262144{{end}}k -delete
# Steps of Umbrel's exports.sh: what is left for the node is worth more.
export NODE_OPTIONS=--max-old-space-size={{if lt .machine.memory 10240}}1024{{else if lt .machine.memory 15360}}2048{{else if lt .machine.memory 30720}}3072{{else}}4096{{end}}
exec node /backend/package/index.js
