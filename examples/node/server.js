'use strict';
// A web server that opens its own port for as long as it runs:  node server.js [--simulate]
// Ends after the first visitor, or at Ctrl-C; the port is closed in every case.

const http = require('node:http');
const { create } = require('./portmapper.js');

const command = process.env.PORTMAPPER_COMMAND ? JSON.parse(process.env.PORTMAPPER_COMMAND) : ['portmapper'];
const { promises } = create({ command, options: process.argv.slice(2) });

const server = http.createServer((request, response) => {
  response.end('Hello from behind the router.\n', () => visited());
});
let visited;
const visit = new Promise((resolve) => {
  visited = resolve;
});

server.listen(0, '0.0.0.0', async () => {
  try {
    const mapping = await promises.persistent('', server.address().port, 0, 7200);
    console.log(`visit http://${mapping.current.externalIP}:${mapping.current.publicPort}/`);
    await visit;
    const { released } = await mapping.stop();
    console.log(released ? 'the port is closed' : 'the router did not answer');
  } catch (error) {
    console.error(`${error.name}: ${error.message}`);
    process.exitCode = 1;
  }
  server.close();
  server.closeAllConnections();
});
