# A cache of replaced transactions that has grown too large to be read ends each start
# (umbrel 2173, start-technologies 3326): it is made anew.
find /backend/cache -name rbfcache.json -size +64M -delete
# Steps of Umbrel's exports.sh: what is left for the node is worth more.
export NODE_OPTIONS=--max-old-space-size={{if lt .machine.memory 10240}}1024{{else if lt .machine.memory 15360}}2048{{else if lt .machine.memory 30720}}3072{{else}}4096{{end}}
exec node /backend/package/index.js
