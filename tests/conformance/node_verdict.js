// What Node's HTTP/1 parser says about some bytes: the same lines as http1_verdict.cc. Node's own parser object is used
// below its http module, which adds rules of its own (a Host must be there) and needs sockets.
'use strict';
const { HTTPParser, methods } = require('_http_common');
const kOnHeaders = HTTPParser.kOnHeaders | 0;
const kOnHeadersComplete = HTTPParser.kOnHeadersComplete | 0;
const kOnBody = HTTPParser.kOnBody | 0;
const kOnMessageComplete = HTTPParser.kOnMessageComplete | 0;
const kMaxHeadBytes = 60 * 1024;
const kEveryCutBelow = 8192;  // as in http1_verdict.cc

const FRAMING = new Set(['host', 'content-length', 'transfer-encoding']);

function escaped(text) {
  return text.replace(/[^\x20-\x7e]|\\/g, (c) => {
    if (c === '\\') return '\\\\';
    if (c === '\r') return '\\r';
    if (c === '\n') return '\\n';
    if (c === '\t') return '\\t';
    return '\\x' + c.charCodeAt(0).toString(16).padStart(2, '0');
  });
}

function fields(list, request) {
  let text = '';
  for (let i = 0; i < list.length; i += 2) {
    const name = list[i].toLowerCase();
    if (FRAMING.has(name) && (request || name !== 'host')) continue;
    text += ` [${name}: ${escaped(list[i + 1].replace(/^[ \t]+|[ \t]+$/g, ''))}]`;
  }
  return text;
}

function connection(list) {
  const options = [];
  for (let i = 0; i < list.length; i += 2) {
    if (list[i].toLowerCase() === 'connection') options.push(list[i + 1]);
  }
  return options.join(',');
}

function requestHead(method, url, version, list, keep) {
  let host = '-';
  for (let i = 0; i < list.length; i += 2) {
    if (host === '-' && list[i].toLowerCase() === 'host') host = list[i + 1].trim();
  }
  const absolute = /^([a-z]+):\/\/([^/?]*)(.*)$/i.exec(url);
  if (absolute) {
    host = absolute[2];
    let path = absolute[3].startsWith('/') ? absolute[3] : '/' + absolute[3];
    url = `${absolute[1].toLowerCase()}://${host}${path}`;
    if (method === 'OPTIONS' && absolute[3] === '') url = '*';
  } else if (method === 'CONNECT') {
    host = url;
  }
  return `${method} ${escaped(url)} HTTP/${version} host=${escaped(host)}${keep ? ' keep' : ' close'}` +
      fields(list, true);
}

function read(task, pieces) {
  const request = task.role === 'Q';
  const parser = new HTTPParser();
  parser.initialize(request ? HTTPParser.REQUEST : HTTPParser.RESPONSE, {}, kMaxHeadBytes, 0);
  const items = [];
  let pending = [];
  let url = '';
  let body = '';
  let inMessage = false;
  const flush = () => {
    if (body !== '') items.push('body ' + escaped(body));
    body = '';
  };
  parser[kOnHeaders] = (list, more) => {
    pending.push(...list);
    url += more;
  };
  parser[kOnHeadersComplete] = (major, minor, list, method, target, status, reason, upgrade, keep) => {
    if (list === undefined) {
      list = pending;
      target = url;
    }
    pending = [];
    url = '';
    inMessage = true;
    if (request) {
      items.push(requestHead(methods[method] || String(method), target, `${major}.${minor}`, list, keep));
    } else {
      // It asks for an end of the connection before it is told that a HEAD was answered.
      if (task.method === 'HEAD' && minor === 1) keep = !/(^|,)\s*close\s*(,|$)/i.test(connection(list));
      items.push(`${status} HTTP/${major}.${minor}${keep ? ' keep' : ' close'}${fields(list, false)}`);
    }
    // As the http module answers: 1 = no content (HEAD), 2 = not HTTP from here on (CONNECT).
    if (request) return method !== undefined && methods[method] === 'CONNECT' ? 2 : 0;
    if (task.method === 'CONNECT' && status >= 200 && status < 300) return 2;
    return task.method === 'HEAD' ? 1 : 0;
  };
  parser[kOnBody] = (chunk) => {
    body += chunk.toString('latin1');
  };
  parser[kOnMessageComplete] = () => {
    flush();
    inMessage = false;
    items.push('end' + fields(pending, request));
    pending = [];
    url = '';  // trailers are told of with the target
  };
  let detail = '';
  let held = 0;
  for (const piece of pieces) {
    const done = parser.execute(piece);
    held += piece.length;
    if (done instanceof Error) {
      detail = done.code;
      break;
    }
    if (done < piece.length) {
      detail = 'UPGRADED';  // the rest is not HTTP
      break;
    }
  }
  if (detail === '' && task.eof) {
    const done = parser.finish();
    if (done instanceof Error) detail = done.code;
  }
  if (detail !== '' && detail !== 'UPGRADED') {
    flush();
    items.push('error');
  } else if (!task.eof && inMessage) {
    flush();
    items.push('more');
  }
  parser.close();
  return [items.join('\x1f'), detail];
}

function judge(task) {
  const all = task.bytes;
  const [whole, detail] = read(task, [all]);
  const clean = whole;
  const stride = 1 + Math.floor(all.length / kEveryCutBelow);
  for (let at = 1; at < all.length; at += stride) {
    const [cut] = read(task, [all.subarray(0, at), all.subarray(at)]);
    if (cut !== clean) return `CUT at ${at}: ${cut} and whole: ${whole}`;
  }
  const bytes = [];
  for (let at = 0; at < all.length; ++at) bytes.push(all.subarray(at, at + 1));
  const [single] = read(task, bytes);
  if (single !== clean) return `CUT everywhere: ${single} and whole: ${whole}`;
  return whole + '\x1e' + detail;
}

const lines = require('fs').readFileSync(0, 'latin1').split('\n');
const out = [];
for (const line of lines) {
  if (line === '') continue;
  const [role, method, eof, hex] = line.split(' ');
  out.push(judge({ role, method, eof: eof === 'eof', bytes: Buffer.from(hex || '', 'hex') }));
}
process.stdout.write(out.join('\n') + '\n');
