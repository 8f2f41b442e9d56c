// The floor: Node's own server with the route of the generated service, and nothing else.
import { createServer } from 'node:http';

const server = createServer((request, response) => {
  const name = decodeURIComponent(request.url.slice('/v1/greetings/'.length));
  response.setHeader('content-type', 'application/json; charset=utf-8');
  response.end(JSON.stringify({ message: `Hello, ${name}!` }));
});
server.listen(0, '127.0.0.1', () => {
  console.log(JSON.stringify({ msg: 'listening', listener: 'http', port: server.address().port }));
});
