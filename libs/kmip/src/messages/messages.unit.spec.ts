import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { damage, fuzzRuns } from '../ttlv/arbitrary-item.contract.js';
import { encodeTtlv } from '../ttlv/encode.js';
import { TtlvError } from '../ttlv/ttlv-error.js';
import { CryptographicAlgorithm, KeyFormatType, NameType, ObjectType, ResultReason, State } from '../vocabulary/enumerations.js';
import { Tag } from '../vocabulary/tags.js';
import { KMIP_VERSIONS, type KmipVersion } from '../vocabulary/versions.js';
import { makeAttribute, readAttribute } from './attributes.js';
import { KmipMessageError } from './message-error.js';
import { decodeRequest, encodeRequest, type RequestItem } from './request-message.js';
import { decodeResponse, encodeResponse, type FailureItem, type SuccessItem } from './response-message.js';

const hex = (text: string): Buffer => Buffer.from(text, 'hex');

// Captured from the KMIP client inside Percona Server for MongoDB (1.0) and from libmongocrypt's (1.2), with answers that they accept.
const PSMDB_GET =
  '42007801000000904200770100000058420069010000002042006a0200000004000000010000000042006b0200000004000000000000000042005002000000040000200000000000420092090000' +
  '0008000000006955b90042000d0200000004000000010000000042000f010000002842005c05000000040000000a0000000042007901000000104200940700000001310000000000' +
  '0000';
const PSMDB_GET_ANSWER =
  '42007b010000011042007a0100000048420069010000002042006a0200000004000000010000000042006b020000000400000000000000004200920900000008000000006955b90042000d020000' +
  '0004000000010000000042000f01000000b842005c05000000040000000a0000000042007f0500000004000000000000000042007c010000009042005705000000040000000200000000420094' +
  '0700000001310000000000000042008f010000006842004001000000604200420500000004000000010000000042004501000000284200430800000020000102030405060708090a0b0c0d0e0f' +
  '101112131415161718191a1b1c1d1e1f4200280500000004000000030000000042002a02000000040000010000000000';
const PSMDB_STATE =
  '42007801000000a04200770100000058420069010000002042006a0200000004000000010000000042006b020000000400000000000000004200500200000004000020000000000042009209000000' +
  '08000000006955b90042000d0200000004000000010000000042000f010000003842005c05000000040000000b0000000042007901000000204200940700000001310000000000000042000a0700' +
  '0000055374617465000000';
const PSMDB_STATE_ANSWER =
  '42007b01000000b842007a0100000048420069010000002042006a0200000004000000010000000042006b020000000400000000000000004200920900000008000000006955b90042000d02000000' +
  '04000000010000000042000f010000006042005c05000000040000000b0000000042007f0500000004000000000000000042007c0100000038420094070000000131000000000000004200080100' +
  '00002042000a0700000005537461746500000042000b05000000040000000200000000';
const NOT_FOUND_ANSWER =
  '42007b01000000a042007a0100000048420069010000002042006a0200000004000000010000000042006b020000000400000000000000004200920900000008000000006955b90042000d02000000' +
  '04000000010000000042000f010000004842005c05000000040000000a0000000042007f0500000004000000010000000042007e0500000004000000010000000042007d070000000d4b6579206e' +
  '6f7420666f756e64000000';
const CREATE_1_2 =
  '42007801000001204200770100000038420069010000002042006a0200000004000000010000000042006b0200000004000000020000000042000d0200000004000000010000000042000f01000000' +
  'd842005c0500000004000000010000000042007901000000c04200570500000004000000020000000042009101000000a8420008010000003042000a070000001743727970746f67726170686963' +
  '20416c676f726974686d0042000b05000000040000000300000000420008010000003042000a070000001443727970746f67726170686963204c656e6774680000000042000b0200000004000001' +
  '0000000000420008010000003042000a070000001843727970746f67726170686963205573616765204d61736b42000b02000000040000000c00000000';

const timeStamp = new Date(1767225600_000);
const MATERIAL = Buffer.from(Array.from({ length: 32 }, (_, index) => index));
const keyBlock = {
  format: KeyFormatType.Raw,
  value: { material: MATERIAL, attributes: [] },
  algorithm: CryptographicAlgorithm.AES,
  length: 256,
};
const AES_256 = [
  makeAttribute('Cryptographic Algorithm', CryptographicAlgorithm.AES),
  makeAttribute('Cryptographic Length', 256),
  makeAttribute('Cryptographic Usage Mask', 0x0c),
];

const requests: [string, string, KmipVersion, RequestItem, boolean][] = [
  ['Get', PSMDB_GET, '1.0', { operation: 'Get', payload: { uniqueIdentifier: '1' } }, true],
  ['GetAttributes', PSMDB_STATE, '1.0', { operation: 'GetAttributes', payload: { uniqueIdentifier: '1', names: ['State'] } }, true],
  [
    'Create',
    CREATE_1_2,
    '1.2',
    { operation: 'Create', payload: { objectType: ObjectType.SymmetricKey, template: { names: [], attributes: AES_256 } } },
    false,
  ],
];

const answers: [string, string, SuccessItem | FailureItem][] = [
  [
    'a key',
    PSMDB_GET_ANSWER,
    {
      status: 'Success',
      operation: 'Get',
      payload: { objectType: ObjectType.SymmetricKey, uniqueIdentifier: '1', symmetricKey: { block: keyBlock } },
    },
  ],
  [
    'a state',
    PSMDB_STATE_ANSWER,
    {
      status: 'Success',
      operation: 'GetAttributes',
      payload: { uniqueIdentifier: '1', attributes: [makeAttribute('State', State.Active)] },
    },
  ],
  [
    'a refusal',
    NOT_FOUND_ANSWER,
    { status: 'OperationFailed', operation: 'Get', reason: ResultReason.ItemNotFound, message: 'Key not found' },
  ],
];

const errorOf = (run: () => unknown): { code: string; path: string } => {
  try {
    run();
  } catch (error) {
    if (error instanceof KmipMessageError || error instanceof TtlvError) return { code: error.code, path: error.path };
    throw error;
  }
  throw new Error('it was accepted');
};

describe('KMIP messages', () => {
  it.each(requests)('reads and writes the %s that a real client sends', (_, text, version, item, dated) => {
    const request = { version, items: [item], ...(dated && { maximumResponseSize: 8192, timeStamp }) };
    expect(encodeRequest(request).toString('hex')).toBe(text);
    const header = dated ? { maximumResponseSize: 8192, timeStamp } : {};
    expect(decodeRequest(hex(text))).toMatchObject({ version, header, items: [item] });
  });

  it.each(answers)('reads and writes %s as real clients accept it', (_, text, item) => {
    const response = { version: '1.0', timeStamp, items: [item] } as const;
    expect(encodeResponse(response).toString('hex')).toBe(text);
    expect(decodeResponse(hex(text))).toEqual(response);
  });

  it('reads and writes everything that an operation has, in every version that has it', () => {
    const samples: RequestItem[] = [
      { operation: 'Query', payload: { functions: [1, 2, 3] } },
      { operation: 'DiscoverVersions', payload: { versions: [{ major: 1, minor: 4 }] } },
      { operation: 'Locate', payload: { maximumItems: 3, attributes: [makeAttribute('Name', { value: 'orders', type: NameType.URI })] } },
      {
        operation: 'Register',
        payload: { objectType: 2, template: { names: [], attributes: AES_256 }, symmetricKey: { block: keyBlock } },
      },
      { operation: 'Revoke', payload: { uniqueIdentifier: 'a', reason: { code: 2, message: 'lost' }, compromisedAt: timeStamp } },
      { operation: 'Activate', payload: { uniqueIdentifier: 'ü' } },
      { operation: 'Destroy', payload: {} },
      { operation: 'GetAttributeList', payload: { uniqueIdentifier: 'a' } },
      { operation: 'Encrypt', payload: { uniqueIdentifier: 'a', parameters: { blockCipherMode: 1, randomIv: true }, data: MATERIAL } },
      { operation: 'Decrypt', payload: { uniqueIdentifier: 'a', parameters: { paddingMethod: 3 }, data: MATERIAL, iv: Buffer.alloc(16) } },
    ];
    for (const version of KMIP_VERSIONS) {
      for (const item of samples) {
        const since = ['Encrypt', 'Decrypt'].includes(item.operation) ? '1.2' : item.operation === 'DiscoverVersions' ? '1.1' : '1.0';
        const id = Buffer.from('item-1');
        const write = () => encodeRequest({ version, items: [{ ...item, id }, item], credentials: { username: 'u', password: 'p' } });
        if (version < since) expect(errorOf(write).code).toBe('KMIP.NOT_IN_VERSION');
        else expect(decodeRequest(write())).toMatchObject({ version, items: [{ ...item, id }, item] });
      }
    }
  });

  it('does not write what a version does not have', () => {
    const modern = { operation: 'Locate', payload: { offsetItems: 1, attributes: [] } } as const;
    expect(errorOf(() => encodeRequest({ version: '1.2', items: [modern] }))).toEqual({
      code: 'KMIP.NOT_IN_VERSION',
      path: 'RequestMessage/BatchItem/Locate/OffsetItems',
    });
    const fresh = { uniqueIdentifier: '1', attributes: [makeAttribute('Fresh', true)] };
    const answer = { status: 'Success', operation: 'GetAttributes', payload: fresh } as const;
    expect(errorOf(() => encodeResponse({ version: '1.0', timeStamp, items: [answer] })).code).toBe('KMIP.NOT_IN_VERSION');
    expect(encodeResponse({ version: '1.1', timeStamp, items: [answer] }).length).toBeGreaterThan(0);
  });

  it('gives a server what it needs to refuse an operation that is not spoken here', () => {
    const text = PSMDB_GET.replace('42005c05000000040000000a', '42005c050000000400000015');
    expect(decodeRequest(hex(text)).items).toEqual([{ operation: null, code: 0x15 }]);
    expect(decodeRequest(hex(PSMDB_GET.replace('42005c05000000040000000a', '42005c0500000004000000ff'))).items).toEqual([
      { operation: null, code: 0xff },
    ]);
  });

  const strange: [string, () => unknown, string, string][] = [
    [
      'F24 an unknown version',
      () => decodeResponse(hex(NOT_FOUND_ANSWER.replace('42006a02000000040000000100', '42006a02000000040000000300'))),
      'KMIP.VERSION_UNKNOWN',
      'ResponseMessage/ResponseHeader/ProtocolVersion',
    ],
    [
      'F24 a question for an answer',
      () => decodeResponse(hex(PSMDB_GET)),
      'KMIP.FIELD_MISSING',
      'ResponseMessage/ResponseHeader/ProtocolVersion',
    ],
    [
      'F24 a wrong tag',
      () => decodeResponse(hex(NOT_FOUND_ANSWER.replace('42007f05', '42008f05'))),
      'KMIP.FIELD_MISSING',
      'ResponseMessage/BatchItem/ResultStatus',
    ],
    [
      'F24 a right tag with another type',
      () => decodeResponse(hex(NOT_FOUND_ANSWER.replace('42007f05', '42007f02'))),
      'KMIP.TYPE_WRONG',
      'ResponseMessage/BatchItem/ResultStatus',
    ],
    [
      'a batch count that is not true',
      () => decodeResponse(hex(NOT_FOUND_ANSWER.replace('42000d020000000400000001', '42000d020000000400000002'))),
      'KMIP.BATCH_COUNT_WRONG',
      'ResponseMessage/ResponseHeader/BatchCount',
    ],
    [
      'a result status of nobody',
      () => decodeResponse(hex(NOT_FOUND_ANSWER.replace('42007f050000000400000001', '42007f050000000400000009'))),
      'KMIP.VALUE_WRONG',
      'ResponseMessage/BatchItem/ResultStatus',
    ],
    [
      'a field that comes twice',
      () => decodeResponse(hex(PSMDB_STATE_ANSWER.replace('42000801', '42009401'))),
      'KMIP.FIELD_UNEXPECTED',
      'ResponseMessage/BatchItem/GetAttributes/UniqueIdentifier',
    ],
    [
      'a success that names no operation',
      () => {
        const item = { tag: Tag.ResultStatus, type: 'Enumeration', value: 0 } as const;
        const bytes = encodeResponse({ version: '1.0', timeStamp, items: [] });
        const message = Buffer.concat([bytes, encodeTtlv({ tag: Tag.BatchItem, type: 'Structure', value: [item] })]);
        message.writeUInt32BE(message.length - 8, 4);
        message.writeUInt32BE(1, message.indexOf(hex('42000d02')) + 8);
        return decodeResponse(message);
      },
      'KMIP.FIELD_MISSING',
      'ResponseMessage/BatchItem/Operation',
    ],
  ];
  it.each(strange)('refuses %s', (_, run, code, path) => {
    expect(errorOf(run)).toEqual({ code, path });
  });

  it('skips what vendors add and refuses standard fields that do not belong', () => {
    const extended = (tag: number): Buffer => {
      const field = encodeTtlv({ tag, type: 'Integer', value: 7 });
      const bytes = Buffer.concat([hex(NOT_FOUND_ANSWER), field]);
      bytes.writeUInt32BE(bytes.length - 8, 4);
      const item = bytes.indexOf(hex('42000f01'));
      bytes.writeUInt32BE(bytes.readUInt32BE(item + 4) + field.length, item + 4);
      return bytes;
    };
    expect(decodeResponse(extended(0x540001)).items).toEqual(decodeResponse(hex(NOT_FOUND_ANSWER)).items);
    expect(errorOf(() => decodeResponse(extended(Tag.MaximumItems)))).toEqual({
      code: 'KMIP.FIELD_UNEXPECTED',
      path: 'ResponseMessage/BatchItem/MaximumItems',
    });
  });

  it('answers damaged messages of both sides with a value or a typed error, never with anything else', () => {
    const seeds: [Buffer, (bytes: Buffer) => unknown][] = [
      ...requests.map(([, text]): [Buffer, (bytes: Buffer) => unknown] => [hex(text), decodeRequest]),
      ...answers.map(([, text]): [Buffer, (bytes: Buffer) => unknown] => [hex(text), decodeResponse]),
    ];
    fc.assert(
      fc.property(fc.constantFrom(...seeds), fc.array(damage, { minLength: 1, maxLength: 3 }), ([bytes, read], damages) => {
        try {
          expect(read(damages.reduce((before, apply) => apply(before), bytes))).toBeTypeOf('object');
        } catch (error) {
          expect(error instanceof TtlvError || error instanceof KmipMessageError).toBe(true);
        }
      }),
      fuzzRuns(2_000),
    );
  });

  it('never shows key material in an error', () => {
    const at = PSMDB_GET_ANSWER.indexOf('42004308');
    const secret = PSMDB_GET_ANSWER.slice(at + 16, at + 80);
    fc.assert(
      fc.property(fc.nat(hex(PSMDB_GET_ANSWER).length - 1), fc.integer({ min: 0, max: 255 }), (where, byte) => {
        const bytes = hex(PSMDB_GET_ANSWER);
        bytes[where] = byte;
        try {
          decodeResponse(bytes);
        } catch (error) {
          expect(JSON.stringify(error) + String(error)).not.toContain(secret.slice(0, 16));
        }
      }),
    );
  });

  it('checks the type of an attribute before its value is used', () => {
    const wrong = { name: 'State', value: { tag: Tag.AttributeValue, type: 'TextString', value: 'Active' } } as const;
    expect(errorOf(() => readAttribute([wrong], 'State'))).toEqual({ code: 'KMIP.TYPE_WRONG', path: "Attribute 'State'" });
    expect(readAttribute([makeAttribute('Deactivation Date', timeStamp)], 'Deactivation Date')).toEqual(timeStamp);
    expect(readAttribute([], 'State')).toBeUndefined();
    const never = { name: 'Initial Date', value: { tag: Tag.AttributeValue, type: 'DateTime', value: 2n ** 62n } } as const;
    expect(errorOf(() => readAttribute([never], 'Initial Date')).code).toBe('KMIP.VALUE_WRONG');
  });
});
