{
  'variables': {
    # Set by continuous integration, never for users: node-gyp rebuild -- -Dwerror=1
    'werror%': 0,
  },
  'targets': [
    {
      'target_name': 'tensor_checkpoint',
      'sources': [
        'native/base/aligned_buffer.cc',
        'native/base/slabs.cc',
        'native/base/status.cc',
        'native/base/thread.cc',
        'native/base/thread_pool.cc',
        '<!@(node -p "require(\'fs\').readdirSync(\'native/checksum\').filter(f => /\\.cc$/.test(f) && !/_(test|bench)\\.cc$/.test(f)).map(f => \'native/checksum/\' + f).join(\' \')")',
        '<!@(node -p "require(\'fs\').readdirSync(\'native/io\').filter(f => /\\.cc$/.test(f) && !/_(test|bench)\\.cc$/.test(f)).map(f => \'native/io/\' + f).join(\' \')")',
        '<!@(node -p "require(\'fs\').readdirSync(\'native/device\').filter(f => /\\.cc$/.test(f) && !/_test\\.cc$/.test(f)).map(f => \'native/device/\' + f).join(\' \')")',
        '<!@(node -p "require(\'fs\').readdirSync(\'native/pipeline\').filter(f => /\\.cc$/.test(f) && !/_(test|bench)\\.cc$/.test(f)).map(f => \'native/pipeline/\' + f).join(\' \')")',
        '<!@(node -p "require(\'fs\').readdirSync(\'native/format\').filter(f => /\\.cc$/.test(f) && !/_test\\.cc$/.test(f)).map(f => \'native/format/\' + f).join(\' \')")',
        '<!@(node -p "require(\'fs\').readdirSync(\'native/tensorflow\').filter(f => /\\.cc$/.test(f) && !/_test\\.cc$/.test(f)).map(f => \'native/tensorflow/\' + f).join(\' \')")',
        '<!@(node -p "require(\'fs\').readdirSync(\'native/binding\').filter(f => /\\.cc$/.test(f)).map(f => \'native/binding/\' + f).join(\' \')")',
      ],
      'include_dirs': ['native'],
      'libraries': ['-ldl'],
      'dependencies': ["<!(node -p \"require('node-addon-api').targets\"):node_addon_api"],
      'defines': [
        'NAPI_VERSION=8',
        'NODE_ADDON_API_DISABLE_DEPRECATED',
        'NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS',
      ],
      'cflags_cc!': ['-std=gnu++17', '-std=gnu++20', '-fno-rtti'],
      'cflags_cc': ['-std=c++20', '-O3', '-Wall', '-Wextra', '-Wno-missing-field-initializers', '-fvisibility=hidden'],
      'conditions': [
        ['werror==1', { 'cflags_cc': ['-Werror'] }],
      ],
    },
  ],
}
